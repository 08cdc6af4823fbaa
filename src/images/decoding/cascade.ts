import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type Metadata, type OutputInfo } from 'sharp';
import {
  DECODED_FORMATS,
  type DecodedFormat,
  type DecodedVariant,
  DecodeRefused,
  type DecodeResult,
  type DecodeTask,
  VARIANT_NAMES,
  type VariantName,
  VARIANTS,
} from './variants.js';

/** Upright 8-bit sRGB, with alpha where the picture has it, and without metadata. */
interface Pixels {
  data: Buffer;
  info: OutputInfo;
}

/**
 * Makes all variants of a picture, as WebP files without metadata.
 *
 * The file is decoded once, to the large size, and each variant is shrunk from the raw pixels of
 * the one before: a tenth less CPU than three decodes, and a third less for progressive JPEGs.
 * Of an animation, the first frame is taken.
 *
 * @throws DecodeRefused when the file is at fault; any other error is not the file's
 */
export async function decode(task: DecodeTask): Promise<DecodeResult> {
  // Read here and not by libvips, so that a missing file or a bad disk never looks like a bad picture.
  const file = await readFile(task.input);
  const header = await readHeader(file, task.maxPixels);
  let pixels = await decodePixels(file, header, task.maxPixels);

  const variants: DecodedVariant[] = [];
  for (const name of VARIANT_NAMES) {
    pixels = await shrink(pixels, VARIANTS[name]);
    variants.push(await writeVariant(name, pixels, task));
  }
  const { width, height } = header.autoOrient;
  return { format: header.format, width, height, hasAlpha: header.hasAlpha, variants };
}

async function readHeader(file: Buffer, maxPixels: number) {
  const header = await blamingFile(async () =>
    // The limit is checked below instead, where it can be told from other errors.
    sharp(file, { failOn: 'error', limitInputPixels: false }).metadata(),
  );
  if (!isDecoded(header)) {
    throw new DecodeRefused('undecodable', `Pictures of type ${header.format} are not decoded.`);
  }
  if (header.width * header.height > maxPixels) {
    throw new DecodeRefused(
      'too-many-pixels',
      `The picture has ${header.width} × ${header.height} pixels; at most ${maxPixels} are allowed.`,
    );
  }
  return header;
}

function isDecoded(header: Metadata): header is Metadata & { format: DecodedFormat } {
  return DECODED_FORMATS.some((format) => format === header.format);
}

async function decodePixels(file: Buffer, header: Metadata, maxPixels: number): Promise<Pixels> {
  const image = sharp(file, {
    // Refuses every truncated file and PNGs with a wrong checksum. `warning` would refuse a few more
    // of the damaged JPEGs, but also sound ones from careless cameras; `truncated` finds no less today.
    failOn: 'error',
    limitInputPixels: maxPixels,
    sequentialRead: true,
    autoOrient: true,
  });
  // sharp turns 16-bit pixels that carry a profile into Display P3 and then drops the profile.
  // Made 8-bit before the profile is applied, they end in sRGB like all others.
  if (header.depth === 'ushort') image.pipelineColourspace('srgb');
  return blamingFile(() =>
    image
      .resize({ ...squareOf(VARIANTS.large), fit: 'inside', withoutEnlargement: true })
      .raw()
      .toBuffer({ resolveWithObject: true }),
  );
}

async function shrink(pixels: Pixels, longestSide: number): Promise<Pixels> {
  if (Math.max(pixels.info.width, pixels.info.height) <= longestSide) return pixels;
  return fromRaw(pixels)
    .resize({ ...squareOf(longestSide), fit: 'inside' })
    .raw()
    .toBuffer({ resolveWithObject: true });
}

async function writeVariant(
  name: VariantName,
  pixels: Pixels,
  { outputFolder, quality, effort }: DecodeTask,
): Promise<DecodedVariant> {
  const path = join(outputFolder, `${name}.webp`);
  const webp = await fromRaw(pixels).webp({ quality, effort }).toBuffer();
  await writeFile(path, webp);
  return {
    name,
    path,
    width: pixels.info.width,
    height: pixels.info.height,
    bytes: webp.byteLength,
  };
}

function fromRaw({ data, info: { width, height, channels } }: Pixels) {
  return sharp(data, { raw: { width, height, channels } });
}

function squareOf(side: number) {
  return { width: side, height: side };
}

/** Runs a step that fails because of the file, unless memory ran out. */
async function blamingFile<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // The libraries below say this in words only; the same file may well succeed another time.
    if (/out of memory|insufficient memory|creating thread/i.test(reason)) throw error;
    throw new DecodeRefused('undecodable', `The picture cannot be decoded: ${reason}`, {
      cause: error,
    });
  }
}
