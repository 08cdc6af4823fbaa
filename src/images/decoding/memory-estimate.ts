import { type FormatName, type PictureFacts } from '../containers/container.js';

/** What the estimate needs to know; a walk through the structure of a file tells all of it. */
export type MemoryFacts = Pick<
  PictureFacts,
  'format' | 'width' | 'height' | 'frames' | 'progressive'
>;

const MEGABYTE = 1024 * 1024;

/*
 * The constants are from the peak resident memory of one decoding child over ten or twenty pictures
 * with sharp 0.35.5 and libheif-js 1.23.2 on Linux x64, for pictures of 12 and 48 megapixels,
 * rounded up. Beside each stand the MB that were measured and estimated: with 48 where nothing else
 * is said.
 */

/** Node, libvips, the three sizes of variants side by side, and what past pictures left. */
const BASE_MB = 165;
/** The file as it came and as it was stripped. */
const COPIES_OF_FILE = 2;

/** What each pixel of a still picture takes, in bytes. */
const BYTES_PER_PIXEL: Record<FormatName, number> = {
  /** Decoded row by row: 162 of 174 for one with 12. */
  jpeg: 0,
  /** An interlaced one is held whole: 12 megapixels of 16-bit RGBA 332 of 370. Else 277 of 645. */
  png: 6,
  /** Lossless ones are held whole: 12 megapixels 255 of 272. */
  webp: 5,
  gif: 4,
  /** With 10 bits: 12 megapixels 407 of 453. With 8: 1012 of 1317. */
  avif: 25,
  /** Without tiles, which iPhones make: 469 of 540. */
  heic: 8,
};
/**
 * Coefficients of two bytes wait for the last scan: those of four channels of CMYK, at full
 * resolution. 12 megapixels with three channels: 236 of 271, 48: 469 of 587.
 */
const PROGRESSIVE_JPEG_BYTES_PER_PIXEL = 8;

/** The canvases of WebP's animation encoder, for each pixel of one frame: 4.8 megapixels 387 of 429. */
const BYTES_PER_ANIMATED_PIXEL = 38;
/** libvips holds all frames of an animated WebP, for each pixel of all of them: ten of 4.8 megapixels 447 of 533. */
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
