import { randomBytes } from 'node:crypto';
import sharp, { type JpegOptions } from 'sharp';
import type { FileParts } from '../api-client.ts';

/** Pictures to measure with: the same in every run, but for the mark that makes each distinct. */

const WIDTH = 4000;
const HEIGHT = 3000;
/** Where the shapes of a photograph begin: the first and coarsest layer is 1/2⁹ of the width. */
const OCTAVES = 9;
const CHANNELS = 3;
/** Strength of the finest layer: a sensor's own noise, which is what fills the files of cameras. */
const GRAIN = 15;
/** A comment with its header and room for a random mark. */
const MARK_BYTES = 40;

/** How a camera may write one and the same picture. */
export const PHOTO_FORMS = ['baseline', 'progressive', 'EXIF-rotated'] as const;

export type PhotoForm = (typeof PHOTO_FORMS)[number];

/** 12-megapixel JPEGs of quality 90 and 4:2:0, each of about 5 MB, by form. */
export type Photos = Readonly<Record<PhotoForm, readonly Buffer[]>>;

export async function makePhotos(count: number): Promise<Photos> {
  const photos: Record<PhotoForm, Buffer[]> = {
    baseline: [],
    progressive: [],
    'EXIF-rotated': [],
  };
  for (let seed = 1; seed <= count; seed += 1) {
    const pixels = await photoPixels(randomFrom(seed));
    photos.baseline.push(await encode(pixels, { quality: 90 }));
    photos.progressive.push(await encode(pixels, { quality: 90, progressive: true }));
    photos['EXIF-rotated'].push(await encode(pixels, { quality: 90 }, 6));
  }
  return photos;
}

/** A JPEG of noise, below 50 megapixels, that fills a file of this size almost alone. */
export async function makeNoise(bytes: number): Promise<Buffer> {
  const sample = await noise(500);
  const height = Math.floor((500 * bytes * 0.995) / sample.byteLength);
  return noise(height);
}

/** The file with comments that nobody else has, and so with a checksum of its own. */
export function distinct(jpeg: Buffer, bytes = jpeg.byteLength + MARK_BYTES): FileParts {
  if (bytes < jpeg.byteLength + MARK_BYTES)
    throw new Error(`The file has ${jpeg.byteLength} bytes already.`);
  const end = endOfApplicationSegments(jpeg);
  const comments = commentsOf(bytes - jpeg.byteLength);
  return [jpeg.subarray(0, end), ...comments, jpeg.subarray(end)];
}

/**
 * Noise of all sizes, the stronger the coarser, as the shapes and shades of a photograph are, with
 * grain on top. A large variant of it has some 0.4 MB as WebP.
 */
async function photoPixels(random: () => number): Promise<Buffer> {
  let pixels = Buffer.alloc(CHANNELS, 128);
  let size = { width: 1, height: 1 };
  for (let octave = OCTAVES; octave >= 0; octave -= 1) {
    const next = { width: WIDTH >> octave, height: HEIGHT >> octave };
    pixels = await sharp(pixels, { raw: { ...size, channels: CHANNELS } })
      .resize({ ...next, fit: 'fill', kernel: 'cubic' })
      .raw()
      .toBuffer();
    addNoise(pixels, octave === 0 ? GRAIN : 1 + 2 * octave, random);
    size = next;
  }
  return pixels;
}

/** Mostly in lightness; colours vary less in photographs, too. */
function addNoise(pixels: Buffer, strength: number, random: () => number): void {
  for (let at = 0; at < pixels.length; at += CHANNELS) {
    const lightness = (random() - 0.5) * 2 * strength;
    for (let channel = at; channel < at + CHANNELS; channel += 1) {
      const value = (pixels[channel] ?? 0) + lightness + (random() - 0.5) * strength * 0.5;
      pixels[channel] = Math.min(255, Math.max(0, value));
    }
  }
}

async function noise(height: number): Promise<Buffer> {
  const random = randomFrom(height);
  const pixels = Buffer.alloc(WIDTH * height * CHANNELS);
  for (let at = 0; at < pixels.length; at += 1) pixels[at] = random() * 256;
  const raw = { width: WIDTH, height, channels: CHANNELS } as const;
  return sharp(pixels, { raw }).jpeg({ quality: 85 }).toBuffer();
}

function encode(pixels: Buffer, options: JpegOptions, orientation?: number): Promise<Buffer> {
  const raw = { width: WIDTH, height: HEIGHT, channels: CHANNELS } as const;
  const image = sharp(pixels, { raw }).jpeg(options);
  return (orientation === undefined ? image : image.withMetadata({ orientation })).toBuffer();
}

/** APPn come first and stay there, as many readers expect: ITU-T T.81, annex B. */
function endOfApplicationSegments(jpeg: Buffer): number {
  let at = 2;
  while (jpeg[at] === 0xff && ((jpeg[at + 1] ?? 0) & 0xf0) === 0xe0) {
    at += 2 + jpeg.readUInt16BE(at + 2);
  }
  return at;
}

/** COM segments that take exactly so many bytes, of which the first is random. */
function commentsOf(bytes: number): Buffer[] {
  const comments: Buffer[] = [];
  for (let left = bytes; left > 0; left -= comments.at(-1)?.length ?? 0) {
    // None so long that what is left after it is too short for another.
    const length = left > 65_537 ? Math.min(65_000, left - 100) : left;
    const comment = Buffer.alloc(length, ' ');
    comment.writeUInt16BE(0xfffe, 0);
    comment.writeUInt16BE(length - 2, 2);
    if (comments.length === 0) comment.write(randomBytes(16).toString('hex'), 4, 'latin1');
    comments.push(comment);
  }
  return comments;
}

/** Mulberry32: a small generator that gives the same numbers everywhere, from 0 up to below 1. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
