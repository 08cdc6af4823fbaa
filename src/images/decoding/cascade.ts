import { readFile } from 'node:fs/promises';
import { CONTAINER_FORMATS, ContainerRefused } from '../containers/container.js';
import { stripMetadata } from '../containers/strip.js';
import { stampXmp } from '../containers/xmp.js';
import { writeAnimatedVariants } from './animation.js';
import { type Looks, looksOf } from './looks.js';
import { writeMadeFile } from './made-file.js';
import { together } from './together.js';
import { release } from './pixels.js';
import { decodeStill, shrinkToVariants, writeStillVariants } from './still.js';
import { DecodeRefused, type DecodeResult, type DecodeTask } from './variants.js';

/**
 * Strips the metadata of a picture and makes all its variants, which have none but the task's.
 *
 * What the file holds beside its picture is cut off before libvips sees it: a bomb in a text chunk,
 * XMP, an archive behind the end.
 *
 * @throws DecodeRefused when the file is at fault; any other error is not the file's
 */
export async function decode(task: DecodeTask): Promise<DecodeResult> {
  const { file, facts, picture, stamped } = await readStripped(task);
  const { format, frames } = facts;
  const name = `original.${CONTAINER_FORMATS[format].extension}`;
  const [{ pixels, size }, original] = await together([
    decodeStill(picture, format, task.maxPixels),
    writeMadeFile(task.outputFolder, name, stamped),
  ]);
  const hasAlpha = pixels.info.channels === 2 || pixels.info.channels === 4;
  const sizes = shrinkToVariants(pixels);
  const [variants, looks] = await together([
    frames > 1 ? writeAnimatedVariants(picture, task) : writeStillVariants(sizes, task),
    sizes.thumbnail.then<Looks>(looksOf),
  ]);
  for (const { data } of new Set(await together(Object.values(sizes)))) release(data);
  release(file);
  return {
    original: { ...original, ...size, format },
    variants,
    frames,
    hasAlpha,
    ...looks,
  };
}

/** The picture lies in the memory of the file, and is the stamped one when there is nothing to stamp. */
async function readStripped(task: DecodeTask) {
  // Read here and not by libvips, so that a missing file or a bad disk never looks like a bad picture.
  const file = await readFile(task.input);
  try {
    const stripped = stripMetadata(file, task);
    const stamped = task.xmp === undefined ? stripped.picture : stampXmp(stripped, task.xmp);
    return { file, ...stripped, stamped };
  } catch (error) {
    if (!(error instanceof ContainerRefused)) throw error;
    throw new DecodeRefused(error.code, error.message, { cause: error });
  }
}
