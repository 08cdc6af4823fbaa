import { afterAll, beforeAll, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { uploadPicture } from '../image-requests.js';
import { makePicture } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';
import { servedBytes } from './served-bytes.js';

const PICTURES = 50;
const FORMATS = ['jpeg', 'png', 'webp', 'avif'] as const;

/** Texts that only the metadata of the uploads hold. */
const SECRETS = ['WGS-84-SECRET', 'GPSLatitude', '48,12.3456N', 'ns.adobe.com', 'Someone Secret'];

const XMP = `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,12.3456N"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>`;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { IMAGE_AVIF: 'true', QUEUE_PER_OWNER: '100' } });
  account = await app.register();
});

afterAll(() => app.close());

it(`leaks nothing of ${PICTURES} pictures with GPS in EXIF and XMP, and stands each upright`, async () => {
  for (let n = 0; n < PICTURES; n += 1) {
    const orientation = 1 + (n % 8);
    const format = FORMATS[n % FORMATS.length]!;
    const file = await makeTellingPicture(format, orientation);
    expect(SECRETS.filter((secret) => file.includes(secret))).not.toEqual([]);

    const { body } = await uploadPicture(app, account, file);
    expect(body.status).toBe('COMPLETED');
    const [width, height] = orientation >= 5 ? [60, 90] : [90, 60];
    expect(body.dimensions).toEqual({ width, height });
    expect(body.variants.large).toMatchObject({ width, height });
    for (const bytes of await servedBytes(app, account, body.id)) {
      expect(SECRETS.filter((secret) => bytes.includes(secret))).toEqual([]);
      const { exif, xmp, iptc } = await sharp(bytes).metadata();
      expect({ xmp, iptc }).toEqual({ xmp: undefined, iptc: undefined });
      // No more than a header and one tag; where lengths had to stay, zeros follow.
      expect(exif?.filter((byte) => byte !== 0).length ?? 0).toBeLessThan(24);
    }
  }
});

async function makeTellingPicture(
  format: (typeof FORMATS)[number],
  orientation: number,
): Promise<Buffer> {
  const picture = sharp(await makePicture({ width: 90, height: 60, format: 'png' }));
  return picture
    .withXmp(XMP)
    .withExifMerge({
      IFD0: { Artist: 'Someone Secret' },
      IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '48/1 12/1 34/1', GPSMapDatum: 'WGS-84-SECRET' },
    })
    .withMetadata({ orientation })
    .toFormat(format)
    .toBuffer();
}
