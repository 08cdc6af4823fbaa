import { readFile } from 'node:fs/promises';
import { CONTAINER_FORMATS, ContainerRefused } from '../containers/container.js';
import { stripMetadata } from '../containers/strip.js';
import { writeAnimatedVariants } from './animation.js';
import { looksOf } from './looks.js';
import { writeMadeFile } from './made-file.js';
import { decodeStill, shrinkToVariants, writeStillVariants } from './still.js';
import { DecodeRefused, type DecodeResult, type DecodeTask } from './variants.js';

/**
 * Strips the metadata of a picture and makes all its variants, which have none.
 *
 * What the file holds beside its picture is cut off before libvips sees it: a bomb in a text chunk,
 * XMP, an archive behind the end.
 *
 * @throws DecodeRefused when the file is at fault; any other error is not the file's
 */
export async function decode(task: DecodeTask): Promise<DecodeResult> {
  const { facts, picture } = await readStripped(task);
  const { format, frames } = facts;
  const { pixels, size } = await decodeStill(picture, format, task.maxPixels);
  const name = `original.${CONTAINER_FORMATS[format].extension}`;
  const original = await writeMadeFile(task.outputFolder, name, picture, size);
  const sizes = await shrinkToVariants(pixels);
  return {
    original: { ...original, format },
    variants:
      frames > 1
        ? await writeAnimatedVariants(picture, task)
        : await writeStillVariants(sizes, task),
    frames,
    hasAlpha: pixels.info.channels === 2 || pixels.info.channels === 4,
    ...(await looksOf(sizes.thumbnail)),
  };
}

async function readStripped(task: DecodeTask) {
  // Read here and not by libvips, so that a missing file or a bad disk never looks like a bad picture.
  const file = await readFile(task.input);
  try {
    return stripMetadata(file, task);
  } catch (error) {
    if (!(error instanceof ContainerRefused)) throw error;
    throw new DecodeRefused(error.code, error.message, { cause: error });
  }
}
