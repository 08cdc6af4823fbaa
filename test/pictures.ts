import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { seededRandom } from './random.js';

interface PictureOptions {
  width?: number;
  height?: number;
  format?: 'jpeg' | 'png' | 'webp' | 'gif' | 'avif';
}

/** A picture with enough going on in it that encoders have work to do. No two are equal. */
export async function makePicture({
  width = 640,
  height = 480,
  format = 'jpeg',
}: PictureOptions = {}): Promise<Buffer> {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 40 };
  return sharp({ create: { width, height, channels: 3, background: '#888', noise } })
    .toFormat(format)
    .toBuffer();
}

/** Slopes with grain. The same pixels each time: another seed makes another picture. */
export function drawing({ width = 60, height = 44, alpha = false, seed = 1 } = {}): Sharp {
  const random = seededRandom(seed);
  const channels = alpha ? 4 : 3;
  const pixels = Buffer.alloc(width * height * channels);
  for (let at = 0; at < pixels.length; at += 1) {
    pixels[at] = Math.floor(((at * 3) % 256) * 0.8 + random(50));
  }
  return sharp(pixels, { raw: { width, height, channels } });
}

const EXIF = {
  IFD0: { ImageDescription: 'MARKER-EXIF' },
  IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 0/1', GPSDateStamp: 'MARKER-GPS' },
};
const XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><MARKER-XMP/></x:xmpmeta>';

/** With EXIF, XMP and an ICC profile. */
export function marked(picture = drawing()): Sharp {
  return picture.withExif(EXIF).withXmp(XMP).withIccProfile('p3');
}

/** An animation of drawings, with 100 ms between its frames, three times over. */
export async function makeAnimation({
  format,
  frames = 3,
}: {
  format: 'gif' | 'webp';
  frames?: number;
}): Promise<Buffer> {
  const pages = Array.from({ length: frames }, (_, at) =>
    drawing({ seed: at + 1 })
      .png()
      .toBuffer(),
  );
  return sharp(await Promise.all(pages), { join: { animated: true } })
    [format]({ delay: 100, loop: 3 })
    .toBuffer();
}

/** A small file that no library of the project can make; see test/fixtures/README.md. */
export function fixture(name: string): Promise<Buffer> {
  return readFile(new URL(`fixtures/${name}`, import.meta.url));
}

/** One small file of every kind that is taken, by a name for the test: the same bytes each time. */
export async function makeEveryKind(): Promise<Record<string, Buffer>> {
  const wide = drawing().toColourspace('rgb16');
  return {
    'baseline JPEG': await drawing().jpeg().toBuffer(),
    'progressive JPEG': await drawing().jpeg({ progressive: true }).toBuffer(),
    'marked JPEG': await marked().jpeg().toBuffer(),
    'CMYK JPEG': await drawing().toColourspace('cmyk').jpeg().toBuffer(),
    PNG: await drawing({ alpha: true }).png().toBuffer(),
    'palette PNG': await drawing().png({ palette: true }).toBuffer(),
    '16-bit PNG': await wide.png().toBuffer(),
    'interlaced PNG': await drawing().png({ progressive: true }).toBuffer(),
    'marked PNG': await marked().png().toBuffer(),
    WebP: await drawing().webp().toBuffer(),
    'lossless WebP': await drawing().webp({ lossless: true }).toBuffer(),
    'WebP with alpha': await drawing({ alpha: true, width: 61, height: 43 }).webp().toBuffer(),
    'animated WebP': await makeAnimation({ format: 'webp' }),
    'marked WebP': await marked().webp().toBuffer(),
    GIF: await drawing().gif().toBuffer(),
    'animated GIF': await makeAnimation({ format: 'gif' }),
    AVIF: await drawing().avif({ effort: 0 }).toBuffer(),
    'marked AVIF': await marked(drawing({ alpha: true }))
      .avif({ effort: 0 })
      .toBuffer(),
    HEIC: await fixture('plain.heic'),
    'marked HEIC': await fixture('p3-gps.heic'),
  };
}
