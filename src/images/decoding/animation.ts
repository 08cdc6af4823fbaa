import sharp from 'sharp';
import { writeMadeFile } from './made-file.js';
import { blamingFile, inputOptions, stamped, within } from './pixels.js';
import { type DecodedVariant, type DecodeTask, VARIANT_NAMES, VARIANTS } from './variants.js';

/**
 * Writes the variants of an animation as WebP: all frames, their delays and the number of loops.
 *
 * Unlike a still picture it is decoded for each variant: libvips hands frame after frame to the
 * encoder, where a cascade would hold all of them at the size of the large variant.
 *
 * @param picture a GIF or WebP
 * @throws DecodeRefused `undecodable`
 */
export async function writeAnimatedVariants(
  picture: Buffer,
  task: DecodeTask,
): Promise<DecodedVariant[]> {
  const variants: DecodedVariant[] = [];
  const { width, pageHeight: height = 0 } = await open(picture, task).metadata();
  const longestSide = Math.max(width, height);
  let webp: Awaited<ReturnType<typeof encode>> | undefined;
  for (const name of VARIANT_NAMES) {
    // A small animation is the same in every size.
    if (!webp || VARIANTS[name] < longestSide) webp = await encode(picture, VARIANTS[name], task);
    const file = await writeMadeFile(task.outputFolder, `${name}.webp`, webp.data);
    variants.push({ ...file, ...webp.size, name, format: 'webp' });
  }
  return variants;
}

async function encode(picture: Buffer, longestSide: number, task: DecodeTask) {
  const { data, info } = await blamingFile(() =>
    stamped(open(picture, task), task)
      .resize(within(longestSide))
      .webp({ quality: task.quality, effort: task.effort })
      .toBuffer({ resolveWithObject: true }),
  );
  return { data, size: { width: info.width, height: info.pageHeight ?? info.height } };
}

function open(picture: Buffer, { maxPixels }: DecodeTask) {
  return sharp(picture, { ...inputOptions(maxPixels), animated: true });
}
