import sharp, { type Metadata } from 'sharp';
import { type FormatName } from '../containers/container.js';
import { attachedProfile, convertToSrgb, namedProfile } from './colour-profile.js';
import { decodeHeic } from './heic.js';
import { writeMadeFile } from './made-file.js';
import {
  blamingFile,
  fromRaw,
  inputOptions,
  type Pixels,
  shrink,
  stamped,
  toPixels,
  within,
} from './pixels.js';
import { together } from './together.js';
import {
  type DecodedVariant,
  type DecodeTask,
  VARIANT_NAMES,
  type VariantFormat,
  type VariantName,
  VARIANTS,
} from './variants.js';

/** What the quality of a WebP is multiplied with for an AVIF of the same PSNR: 60 for 80. */
const AVIF_QUALITY = 0.75;
/** The fastest: the CPU of a WebP for a quarter less bytes. The next takes 3 times as much for 3%. */
const AVIF_EFFORT = 0;

/** A still picture at the size of the large variant. */
export interface Still {
  pixels: Pixels;
  /** Of the whole picture once it stands upright, in pixels. */
  size: { width: number; height: number };
}

/**
 * Decodes a picture, or the first frame of an animation, to the size of the large variant.
 *
 * Once: that and shrinking from raw pixels takes a tenth less CPU than a decode for each variant,
 * and a third less for progressive JPEGs.
 *
 * @throws DecodeRefused `undecodable`
 */
export function decodeStill(
  picture: Buffer,
  format: FormatName,
  maxPixels: number,
): Promise<Still> {
  return blamingFile(async () => {
    const header = await sharp(picture, inputOptions(maxPixels)).metadata();
    if (format === 'heic') {
      const still = await decodeHeic(picture, maxPixels);
      return inSrgb(still, attachedProfile(header) ?? (await namedProfile(picture)));
    }
    const still = { pixels: await decode(picture, header, maxPixels), size: header.autoOrient };
    // A profile that is attached was applied. libvips does not look at one that is only named.
    const named = format === 'avif' && !header.icc ? await namedProfile(picture) : undefined;
    return inSrgb(still, named);
  });
}

function decode(picture: Buffer, header: Metadata, maxPixels: number): Promise<Pixels> {
  const image = sharp(picture, { ...inputOptions(maxPixels), autoOrient: true });
  // sharp turns 16-bit pixels that carry a profile into Display P3 and then drops the profile.
  // Made 8-bit before the profile is applied, they end in sRGB like all others.
  if (header.depth === 'ushort') image.pipelineColourspace('srgb');
  return toPixels(image.resize(within(VARIANTS.large)));
}

async function inSrgb({ pixels, size }: Still, profile: Buffer | undefined): Promise<Still> {
  return { pixels: profile ? await convertToSrgb(pixels, profile) : pixels, size };
}

/** The pixels of all variants as soon as they are there: each is shrunk from the one before. */
export function shrinkToVariants(large: Pixels): Record<VariantName, Promise<Pixels>> {
  const medium = shrink(large, VARIANTS.medium);
  const thumbnail = medium.then((pixels) => shrink(pixels, VARIANTS.thumbnail));
  return { large: Promise.resolve(large), medium, thumbnail };
}

/**
 * Writes all variants as WebP, largest first, then as AVIF when the task asks for it.
 *
 * The sizes of a format are encoded side by side: where there are cores to spare, the largest takes
 * as long as all of them.
 */
export async function writeStillVariants(
  sizes: Record<VariantName, Promise<Pixels>>,
  task: DecodeTask,
): Promise<DecodedVariant[]> {
  const webp = await writeFormat(sizes, 'webp', task);
  return task.avif ? [...webp, ...(await writeFormat(sizes, 'avif', task))] : webp;
}

function writeFormat(
  sizes: Record<VariantName, Promise<Pixels>>,
  format: VariantFormat,
  task: DecodeTask,
): Promise<DecodedVariant[]> {
  // A small picture is the same in several sizes.
  const encoded = new Map<Pixels, Promise<Buffer>>();
  const write = async (name: VariantName): Promise<DecodedVariant> => {
    const pixels = await sizes[name];
    const encoding = encoded.get(pixels) ?? encode(pixels, format, task);
    encoded.set(pixels, encoding);
    const made = await writeMadeFile(task.outputFolder, `${name}.${format}`, await encoding);
    const { width, height } = pixels.info;
    return { ...made, width, height, name, format };
  };
  return together(VARIANT_NAMES.map(write));
}

function encode(pixels: Pixels, format: VariantFormat, task: DecodeTask): Promise<Buffer> {
  const image = stamped(fromRaw(pixels), task);
  if (format === 'webp')
    return image.webp({ quality: task.quality, effort: task.effort }).toBuffer();
  const quality = Math.max(1, Math.round(task.quality * AVIF_QUALITY));
  return image.avif({ quality, effort: AVIF_EFFORT, chromaSubsampling: '4:2:0' }).toBuffer();
}
