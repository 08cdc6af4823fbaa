import sharp, { type OutputInfo, type Sharp, type SharpOptions } from 'sharp';
import { DecodeRefused, type DecodeTask } from './variants.js';

/** Upright 8-bit sRGB, with straight alpha where the picture has it, and without metadata. */
export interface Pixels {
  data: Uint8Array;
  info: Pick<OutputInfo, 'width' | 'height' | 'channels'>;
}

/** What no file may talk libvips out of, whatever it holds. */
export function inputOptions(maxPixels: number): SharpOptions {
  return {
    // Refuses every truncated file and PNGs with a wrong checksum. `warning` would refuse a few more
    // of the damaged JPEGs, but also sound ones from careless cameras; `truncated` finds no less today.
    failOn: 'error',
    limitInputPixels: maxPixels,
    unlimited: false,
    sequentialRead: true,
  };
}

/** Pixels as an image that can be worked on; they are read when that is run, not before. */
export function fromRaw({ data, info: { width, height, channels } }: Pixels): Sharp {
  return sharp(data, { raw: { width, height, channels } });
}

/** Shrinks a picture so that its longest side has at most so many pixels; never enlarges it. */
export function within(longestSide: number) {
  const side = { width: longestSide, height: longestSide };
  return { ...side, fit: 'inside', withoutEnlargement: true } as const;
}

/** The pixels themselves when they are small enough already. */
export async function shrink(pixels: Pixels, longestSide: number): Promise<Pixels> {
  if (Math.max(pixels.info.width, pixels.info.height) <= longestSide) return pixels;
  return toPixels(fromRaw(pixels).resize(within(longestSide)));
}

/**
 * Runs what is planned for an image. The caller has made it {@link Pixels}: upright, sRGB, 8 bits.
 *
 * @throws Error in libvips' words when the file cannot be decoded: see {@link blamingFile}
 */
export function toPixels(image: Sharp): Promise<Pixels> {
  return image.raw().toBuffer({ resolveWithObject: true });
}

/** Has a file carry the packet that the task has for it. Without one, sharp writes no metadata. */
export function stamped(image: Sharp, { xmp }: Pick<DecodeTask, 'xmp'>): Sharp {
  return xmp === undefined ? image : image.withXmp(xmp);
}

/**
 * Gives the memory of bytes back at once; nobody may read them any more.
 *
 * V8 counts it, but sees no need to collect it: it cost a quarter of the memory in use, and a
 * collection takes 10 ms of CPU.
 */
export function release({ buffer, byteLength }: Uint8Array): void {
  const isShared = buffer.byteLength > byteLength || !(buffer instanceof ArrayBuffer);
  if (!isShared) buffer.transfer(0);
}

/**
 * Runs a step that fails because of the file, unless memory ran out.
 *
 * @throws DecodeRefused `undecodable`
 */
export async function blamingFile<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof DecodeRefused) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    // The libraries below say this in words only; the same file may well succeed another time.
    if (/out of memory|insufficient memory|creating thread/i.test(reason)) throw error;
    throw new DecodeRefused('undecodable', `The picture cannot be decoded: ${reason}`, {
      cause: error,
    });
  }
}
