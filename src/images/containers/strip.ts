import type { FormatName, PictureFacts, PictureLimits } from './container.js';
import type { FormatStrip } from './format-walk.js';
import { stripGif } from './gif.js';
import { stripHeif } from './heif-strip.js';
import { stripJpeg } from './jpeg-strip.js';
import { stripPng } from './png-strip.js';
import { walkFile } from './walk.js';
import { stripWebp } from './webp-strip.js';

const STRIPS: Record<FormatName, FormatStrip> = {
  jpeg: stripJpeg,
  png: stripPng,
  webp: stripWebp,
  gif: stripGif,
  avif: stripHeif,
  heic: stripHeif,
};

export interface StrippedPicture {
  facts: PictureFacts;
  /** A file of the same format. */
  picture: Buffer;
}

/**
 * The same pixels, losslessly, without metadata: what decoding needs and the ICC profile stay,
 * and a fresh EXIF block with the orientation alone where that is not upright. Whatever was glued
 * to the picture is gone. Stripping the result gives the same bytes again.
 *
 * @param file is used up: the picture takes its memory
 *
 * @throws ContainerRefused as {@link walkFile} does
 */
export function stripMetadata(file: Buffer, limits: PictureLimits): StrippedPicture {
  const facts = walkFile(file, limits);
  const picture = STRIPS[facts.format](file, facts, (visit) => {
    walkFile(file, limits, visit);
  });
  // Of an animated PNG the first picture is left.
  return { facts: facts.format === 'png' ? { ...facts, frames: 1 } : facts, picture };
}
