import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';
import { gifExtension, inserted, pngChunk } from '../container-parts.js';
import { uploadPicture } from '../image-requests.js';
import {
  BLUE,
  type Corners,
  expectFourCorners,
  fourCorners,
  GREEN,
  RED,
  WHITE,
} from '../paintings.js';
import { fixture } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';
import { type ServedFile, servedFiles } from './served-files.js';

/** Texts that only the metadata of the uploads hold: the EXIF of most, the XMP of all. */
const EXIF_SECRETS = ['WGS-84-SECRET', 'Someone Secret', 'MARKER-EXIF'];
const XMP_SECRETS = ['ns.adobe.com', '48,12.3456N', 'MARKER-XMP'];

const EXIF = {
  IFD0: { Artist: 'Someone Secret' },
  IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '48/1 12/1 34/1', GPSMapDatum: 'WGS-84-SECRET' },
};
const XMP = `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,12.3456N"/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>`;

/** Formats that tell the orientation in EXIF. */
const ENCODERS: Record<string, (picture: Sharp) => Sharp> = {
  JPEG: (picture) => picture.jpeg({ chromaSubsampling: '4:4:4' }),
  'progressive JPEG': (picture) => picture.jpeg({ progressive: true, chromaSubsampling: '4:4:4' }),
  PNG: (picture) => picture.png(),
  WebP: (picture) => picture.webp(),
  'lossless WebP': (picture) => picture.webp({ lossless: true }),
  AVIF: (picture) => picture.avif({ effort: 0 }),
};

const UPRIGHT = { width: 96, height: 64 };
/** What is lossy twice, and has edges near by. Corners differ by 190 and more. */
const TOLERANCE = 30;

/**
 * The corners of a stored picture, in reading order, that stands upright by its orientation: red,
 * green, blue and white. By where the first row and the first column are seen: EXIF 2.32, tag 0x0112.
 */
const STORED: Record<number, Corners> = {
  1: [RED, GREEN, BLUE, WHITE],
  2: [GREEN, RED, WHITE, BLUE],
  3: [WHITE, BLUE, GREEN, RED],
  4: [BLUE, WHITE, RED, GREEN],
  5: [RED, BLUE, GREEN, WHITE],
  6: [GREEN, WHITE, RED, BLUE],
  7: [WHITE, GREEN, BLUE, RED],
  8: [BLUE, RED, WHITE, GREEN],
};

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { IMAGE_AVIF: 'true', QUEUE_PER_OWNER: '100' } });
  account = await app.register();
});

afterAll(() => app.close());

// With the GIF and the HEIC below, fifty.
describe.each(Object.keys(ENCODERS))('a picture with GPS in EXIF and XMP, as %s', (encoder) => {
  it.each(Object.keys(STORED).map(Number))(
    'leaks nothing and stands upright from orientation %i',
    async (orientation) => {
      const lying = { width: UPRIGHT.height, height: UPRIGHT.width };
      const size = orientation >= 5 ? lying : UPRIGHT;
      const picture = sharp(await fourCorners(STORED[orientation], size))
        .withXmp(XMP)
        .withExifMerge(EXIF)
        .withMetadata({ orientation });
      const encoded = await ENCODERS[encoder]!(picture).toBuffer();
      const file = encoder === 'PNG' ? withPlainXmp(encoded) : encoded;

      const { body, served } = await expectNoLeaks(file);
      expect(body.dimensions).toEqual(UPRIGHT);
      expect(body.variants.large).toMatchObject(UPRIGHT);
      for (const each of served) await expectUpright(each);
    },
  );
});

it('leaks nothing of a GIF with a comment and XMP, which is upright', async () => {
  const gif = await sharp(await fourCorners(STORED[1], UPRIGHT))
    .gif()
    .toBuffer();
  const blocks = XMP.match(/[^]{1,255}/g) ?? [];
  const file = inserted(
    gif,
    gif.length - 1,
    gifExtension(0xfe, 'Someone Secret, WGS-84-SECRET'),
    gifExtension(0xff, 'XMP DataXMP', ...blocks),
  );

  const { served } = await expectNoLeaks(file);
  for (const each of served) await expectUpright(each);
});

it('leaks nothing of a HEIC with GPS in EXIF and XMP', async () => {
  await expectNoLeaks(await fixture('p3-gps.heic'));
});

describe('a HEIC', () => {
  /** The quarters, against the clock, in its `irot` box (ISO 23008-12 section 6.5.10): 3 is upright. */
  it.each([
    [0, STORED[6]],
    [1, STORED[3]],
    [2, STORED[8]],
    [3, STORED[1]],
  ])('stands as its container says: turned by %i quarters', async (quarters, corners) => {
    const file = await fixture('turned.heic');
    const rotation = file.indexOf('irot');
    file[rotation + 4] = quarters;

    const { body } = await uploadPicture(app, account, file);
    const [width, height] = quarters % 2 ? [300, 200] : [200, 300];
    expect(body).toMatchObject({ status: 'COMPLETED', dimensions: { width, height } });
    for (const { size, bytes } of await servedFiles(app, account, body.id)) {
      if (size === 'original') {
        // Nothing here decodes it.
        expect(bytes.includes(file.subarray(rotation, rotation + 5))).toBe(true);
      } else {
        const { width, height } = await sharp(bytes).metadata();
        await expectFourCorners({ path: bytes, width, height }, corners, TOLERANCE);
      }
    }
  });
});

/** XMP as it is, in its own chunk of a PNG, where libvips packs it: XMP specification part 3. */
function withPlainXmp(png: Buffer): Buffer {
  const text = Buffer.from(`XML:com.adobe.xmp\0\0\0\0\0${XMP}`);
  return inserted(png, 33, pngChunk('iTXt', text));
}

/** Uploads a file that tells of its owner, and looks for that in everything that is served. */
async function expectNoLeaks(file: Buffer) {
  for (const secrets of [EXIF_SECRETS, XMP_SECRETS]) {
    expect(secrets.some((secret) => file.includes(secret))).toBe(true);
  }
  const { body } = await uploadPicture(app, account, file);
  expect(body.status).toBe('COMPLETED');
  const served = await servedFiles(app, account, body.id);
  expect(served).toHaveLength(8);
  for (const { size, bytes } of served) {
    const secrets = [...EXIF_SECRETS, ...XMP_SECRETS, 'GPSLatitude'];
    expect([size, secrets.filter((secret) => bytes.includes(secret))]).toEqual([size, []]);
    const { exif, xmp, iptc, comments } = await sharp(bytes).metadata();
    const nothing = { xmp: undefined, iptc: undefined, comments: undefined };
    expect([size, { xmp, iptc, comments }]).toEqual([size, nothing]);
    // No more than a header and one tag; where lengths had to stay, zeros follow.
    const told = exif?.filter((byte) => byte !== 0).length ?? 0;
    expect(told).toBeLessThan(size === 'original' ? 24 : 1);
  }
  return { body, served };
}

/** A variant as it is; an original as its orientation, which it keeps, tells to show it. */
async function expectUpright({ size, bytes }: ServedFile): Promise<void> {
  const image = size === 'original' ? sharp(bytes).autoOrient() : sharp(bytes);
  const path = await image.png().toBuffer();
  await expectFourCorners({ path, ...UPRIGHT }, STORED[1], TOLERANCE);
}
