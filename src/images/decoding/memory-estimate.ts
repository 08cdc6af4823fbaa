import { type FormatName, type PictureFacts } from '../containers/container.js';

/** What the estimate needs to know; a walk through the structure of a file tells all of it. */
export type MemoryFacts = Pick<
  PictureFacts,
  'format' | 'width' | 'height' | 'frames' | 'progressive'
>;

const MEGABYTE = 1024 * 1024;

/*
 * The constants are from the peak resident memory of one decoding child with sharp 0.35.5 and
 * libheif-js 1.23.2 on Linux x64, for pictures of 12, 24 and 48 megapixels, rounded up. Beside
 * each stand measured and estimated MB of the one with 48, or what there was.
 */

/** Node, libvips and the three sizes of variants. */
const BASE_MB = 120;
/** The file as it came and as it was stripped. */
const COPIES_OF_FILE = 2;

/** What each pixel of a still picture takes, in bytes. */
const BYTES_PER_PIXEL: Record<FormatName, number> = {
  /** Decoded row by row: 131 of 152. */
  jpeg: 0,
  /** An interlaced one is held whole: 12 megapixels of 16-bit RGBA 261. Else 298 of 482. */
  png: 4,
  /** Lossless ones are held whole. */
  webp: 4,
  gif: 4,
  /** With 10 bits: 12 megapixels 399 of 407. With 8: 932 of 1272. */
  avif: 25,
  /** Without tiles, which iPhones make: 452 of 500. */
  heic: 8,
};
/**
 * Coefficients of two bytes wait for the last scan: those of four channels of CMYK, at full
 * resolution. 12 megapixels: 217 of 220. With three channels 429 of 542.
 */
const PROGRESSIVE_JPEG_BYTES_PER_PIXEL = 8;

/** The canvases of WebP's animation encoder, for each pixel of one frame: 279 of 299. */
const BYTES_PER_ANIMATED_PIXEL = 28;
/** libvips holds all frames of an animated WebP, for each pixel of all of them: 357 of 453. */
const BYTES_PER_WEBP_FRAME_PIXEL = 4;

/**
 * How much memory a decoding child takes at most for a picture, itself included, in MB.
 *
 * Meant to be generous: most pictures of a format take less.
 */
export function estimateMemoryMb(facts: MemoryFacts, fileBytes: number): number {
  const pixels = facts.width * facts.height;
  const bytes = COPIES_OF_FILE * fileBytes + bytesOfPixels(facts, pixels);
  return Math.ceil(BASE_MB + bytes / MEGABYTE);
}

function bytesOfPixels({ format, frames, progressive }: MemoryFacts, pixels: number): number {
  if (frames > 1) {
    const allFrames = format === 'webp' ? frames * BYTES_PER_WEBP_FRAME_PIXEL : 0;
    return pixels * (BYTES_PER_ANIMATED_PIXEL + allFrames);
  }
  const perPixel =
    format === 'jpeg' && progressive ? PROGRESSIVE_JPEG_BYTES_PER_PIXEL : BYTES_PER_PIXEL[format];
  return pixels * perPixel;
}
