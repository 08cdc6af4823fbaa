import sharp, { type OverlayOptions } from 'sharp';
import type { ReferencePicture } from '../image-model.js';
import type { PixelSize } from '../picture-sizes.js';
import { type Colour, fromRgb } from './colour.js';

/** How many are hung; more would be too small to see. */
const MOST_HUNG = 3;
/** Of the picture's sides: what they may take together, and how far apart they are. */
const WALL = { width: 0.78, height: 0.62, gap: 0.03 };
/** Of a print's shorter side: the paper around it. */
const MAT = 0.06;
const SAMPLE_SIDE = 24;
/** Bits of a channel by which colours are told apart. */
const KEPT_BITS = 3;
const MOST_COLOURS = 8;

/** The most frequent colours of pictures, all of them together. */
export async function coloursOf(sources: readonly ReferencePicture[]): Promise<Colour[]> {
  const cells = new Map<number, { count: number; sums: [number, number, number] }>();
  for (const { bytes } of sources) {
    const pixels = await sharp(bytes)
      .resize(SAMPLE_SIDE, SAMPLE_SIDE, { fit: 'fill' })
      .flatten({ background: '#fff' })
      .toColourspace('srgb')
      .raw()
      .toBuffer();
    for (let at = 0; at + 2 < pixels.length; at += 3) {
      const [r = 0, g = 0, b = 0] = pixels.subarray(at, at + 3);
      const shift = 8 - KEPT_BITS;
      const key = ((r >> shift) << (2 * KEPT_BITS)) | ((g >> shift) << KEPT_BITS) | (b >> shift);
      const { count, sums } = cells.get(key) ?? { count: 0, sums: [0, 0, 0] };
      cells.set(key, { count: count + 1, sums: [sums[0] + r, sums[1] + g, sums[2] + b] });
    }
  }
  return [...cells.entries()]
    .sort(([keyA, a], [keyB, b]) => b.count - a.count || keyA - keyB)
    .slice(0, MOST_COLOURS)
    .map(([, { count, sums }]) => fromRgb(sums[0] / count, sums[1] / count, sums[2] / count));
}

/** The pictures as prints with a mat, side by side in the middle. */
export async function hang(
  sources: readonly ReferencePicture[],
  { width, height }: PixelSize,
): Promise<OverlayOptions[]> {
  const hung = sources.slice(0, MOST_HUNG);
  const gap = Math.round(width * WALL.gap);
  const room = Math.floor((width * WALL.width - gap * (hung.length - 1)) / hung.length);
  const prints = await Promise.all(
    hung.map(({ bytes }) => printOf(bytes, room, Math.floor(height * WALL.height))),
  );
  const all = prints.reduce((sum, print) => sum + print.width, gap * (prints.length - 1));
  let left = Math.round((width - all) / 2);
  return prints.flatMap((print) => {
    const at = { left, top: Math.round((height - print.height) / 2) };
    left += print.width + gap;
    return [shadowOf(print, at), { input: print.bytes, ...at }];
  });
}

interface Print extends PixelSize {
  bytes: Buffer;
}

async function printOf(bytes: Buffer, width: number, height: number): Promise<Print> {
  const mat = Math.max(2, Math.round(Math.min(width, height) * MAT));
  const { data, info } = await sharp(bytes)
    .resize(Math.max(1, width - 2 * mat), Math.max(1, height - 2 * mat), { fit: 'inside' })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .extend({ top: mat, bottom: mat, left: mat, right: mat, background: '#fbf9f4' })
    .png({ compressionLevel: 1 })
    .toBuffer({ resolveWithObject: true });
  return { bytes: data, width: info.width, height: info.height };
}

/** Soft by many faint edges. */
function shadowOf({ width, height }: PixelSize, at: { left: number; top: number }): OverlayOptions {
  const reach = Math.round(Math.min(width, height) * 0.05);
  const [wide, tall] = [width + 2 * reach, height + 2 * reach];
  const layers = Array.from({ length: 12 }, (_, layer) => {
    const inset = (reach * layer) / 12;
    return `<rect x="${inset}" y="${inset}" width="${wide - 2 * inset}" height="${tall - 2 * inset}" rx="${reach - inset / 2}" fill="#101828" opacity="0.04"/>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${tall}">${layers.join('')}</svg>`;
  return { input: Buffer.from(svg), left: at.left - reach, top: at.top - Math.round(reach * 0.6) };
}
