/** Who paints: a model at Google, or the painter that comes with the product. */
export const MODEL_DRIVERS = ['gemini', 'local'] as const;
export type ModelDriver = (typeof MODEL_DRIVERS)[number];

/** Which model made a picture, and when. */
export interface Provenance {
  /** As clients know it. */
  model: string;
  driver: ModelDriver;
  /** ISO 8601 in UTC. */
  generatedAt: string;
  /**
   * The URI of IPTC's NewsCodes that tells what kind of picture it is. All files of the picture then
   * tell it, too. Null for a picture that passes for nothing else: one of the local model.
   */
  digitalSourceType: string | null;
}

/** Of a picture that a trained model made: IPTC NewsCodes, Digital Source Type. */
export const TRAINED_ALGORITHMIC_MEDIA =
  'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia';

/**
 * The XMP packet that all files of a generated picture carry, if they carry any: IPTC Photo Metadata
 * Standard, Digital Source Type; XMP Specification, part 1, section 8.4.
 *
 * The same each time, so that files that are made anew are the same, too.
 */
export function provenanceXmp(provenance: Provenance | null): string | undefined {
  if (!provenance?.digitalSourceType) return undefined;
  return `<?xpacket begin="\u{FEFF}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
  <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description rdf:about=""
        xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
        xmlns:xmp="http://ns.adobe.com/xap/1.0/">
      <Iptc4xmpExt:DigitalSourceType>${escaped(provenance.digitalSourceType)}</Iptc4xmpExt:DigitalSourceType>
      <xmp:CreatorTool>${escaped(provenance.model)}</xmp:CreatorTool>
      <xmp:CreateDate>${escaped(provenance.generatedAt)}</xmp:CreateDate>
    </rdf:Description>
  </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (character) => ENTITIES[character] ?? '');
}
