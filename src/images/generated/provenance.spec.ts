import { describe, expect, it } from '@jest/globals';
import { type Provenance, provenanceXmp, TRAINED_ALGORITHMIC_MEDIA } from './provenance.js';

const provenance: Provenance = {
  model: 'painter <2> & "sons"',
  driver: 'gemini',
  generatedAt: '2026-11-22T07:00:00.000Z',
  digitalSourceType: TRAINED_ALGORITHMIC_MEDIA,
};

describe('the packet of a generated picture', () => {
  it('tells what kind of picture it is, which model made it, and when', () => {
    const xmp = provenanceXmp(provenance);
    expect(xmp).toContain(
      '<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/' +
        'trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>',
    );
    expect(xmp).toContain('<xmp:CreatorTool>painter &lt;2&gt; &amp; "sons"</xmp:CreatorTool>');
    expect(xmp).toContain('<xmp:CreateDate>2026-11-22T07:00:00.000Z</xmp:CreateDate>');
  });

  it('is the same in whatever order the database gives its fields', () => {
    const { model, driver, generatedAt, digitalSourceType } = provenance;
    expect(provenanceXmp({ digitalSourceType, generatedAt, driver, model })).toBe(
      provenanceXmp(provenance),
    );
  });

  it('is none for uploads, and for pictures that pass for nothing else', () => {
    expect(provenanceXmp(null)).toBeUndefined();
    expect(provenanceXmp({ ...provenance, digitalSourceType: null })).toBeUndefined();
  });
});
