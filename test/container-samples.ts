import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';

/** The same bytes each time: a linear congruential generator. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function drawing({ width = 60, height = 44, alpha = false, seed = 1 } = {}): Sharp {
  const random = seeded(seed);
  const channels = alpha ? 4 : 3;
  const pixels = Buffer.alloc(width * height * channels);
  for (let at = 0; at < pixels.length; at += 1) {
    pixels[at] = Math.floor(((at * 3) % 256) * 0.8 + random() * 50);
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

export async function animation(format: 'gif' | 'webp', frames = 3): Promise<Buffer> {
  const pages = await Promise.all(
    Array.from({ length: frames }, (_, at) =>
      drawing({ seed: at + 1 })
        .png()
        .toBuffer(),
    ),
  );
  return sharp(pages, { join: { animated: true } })
    [format]({ delay: 70, loop: 3 })
    .toBuffer();
}

export function fixture(name: string): Promise<Buffer> {
  return readFile(join(import.meta.dirname, 'fixtures', name));
}

/** One small file of each kind. */
export async function samples(): Promise<Record<string, Buffer>> {
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
    'animated WebP': await animation('webp'),
    'marked WebP': await marked().webp().toBuffer(),
    GIF: await drawing().gif().toBuffer(),
    'animated GIF': await animation('gif'),
    AVIF: await drawing().avif({ effort: 0 }).toBuffer(),
    'marked AVIF': await marked(drawing({ alpha: true }))
      .avif({ effort: 0 })
      .toBuffer(),
    HEIC: await fixture('plain.heic'),
    'marked HEIC': await fixture('p3-gps.heic'),
  };
}

export function pngChunk(type: string, data: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const bytes = Buffer.alloc(content.length + 8);
  bytes.writeUInt32BE(data.length, 0);
  content.copy(bytes, 4);
  bytes.writeUInt32BE(crc32(content), content.length + 4);
  return bytes;
}

export function zTxt(text: string): Buffer {
  return pngChunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0'), deflateSync(text)]));
}

/** A JPEG's segment. */
export function segment(marker: number, content: Buffer | string): Buffer {
  const data = Buffer.from(content as string, 'latin1');
  const header = Buffer.from([0xff, marker, 0, 0]);
  header.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([header, data]);
}

export function inserted(file: Buffer, at: number, ...parts: Buffer[]): Buffer {
  return Buffer.concat([file.subarray(0, at), ...parts, file.subarray(at)]);
}

/** A few bytes changed, cut out, doubled or glued on. */
export function mutated(file: Buffer, random: () => number): Buffer {
  let bytes: Buffer = Buffer.from(file);
  const pick = (below: number) => Math.floor(random() * below);
  for (let change = pick(4); change >= 0; change -= 1) {
    // Most of the structure is at the start.
    const at = pick(random() < 0.5 ? Math.min(bytes.length, 400) : bytes.length);
    const kind = pick(6);
    if (kind < 3) bytes[at] = [0, 0xff, pick(256)][kind] ?? 0;
    else if (kind === 3) bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
    else if (kind === 4)
      bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + pick(9))]);
    else bytes = inserted(bytes, at, bytes.subarray(at, at + pick(40)));
  }
  return bytes;
}
