import { rgbaToThumbHash } from 'thumbhash';
import { fromRaw, type Pixels, toPixels, within } from './pixels.js';

/** What stands for a picture until it is loaded. */
export interface Looks {
  placeholder: string;
  dominantColor: string;
}

/** The most that ThumbHash takes. */
const THUMBHASH_SIDE = 100;
/** Each channel is halved so often for the histogram of colours: 8 steps of 32. */
const HISTOGRAM_SHIFT = 5;
/** What a picture without a single visible pixel counts as. */
const INVISIBLE = '#ffffff';

/** The ThumbHash and the dominant colour of a picture, from its thumbnail. */
export async function looksOf(thumbnail: Pixels): Promise<Looks> {
  const small = fromRaw(thumbnail).resize(within(THUMBHASH_SIDE)).toColourspace('srgb');
  const { data, info } = await toPixels(small.ensureAlpha());
  const hash = rgbaToThumbHash(info.width, info.height, data);
  return { placeholder: Buffer.from(hash).toString('base64'), dominantColor: dominantColor(data) };
}

/**
 * The mean of the most frequent similar colours: of the fullest cell of a coarse histogram.
 *
 * A pixel counts by its opacity. The mean of the whole picture would be a colour that is often
 * nowhere in it, such as the grey between blue and orange.
 *
 * @param rgba the pixels, not premultiplied
 */
export function dominantColor(rgba: Uint8Array): string {
  const cells = new Map<number, [weight: number, r: number, g: number, b: number]>();
  let fullest: [number, number, number, number] = [0, 0, 0, 0];
  for (let at = 0; at + 3 < rgba.length; at += 4) {
    const [r = 0, g = 0, b = 0, alpha = 0] = rgba.subarray(at, at + 4);
    const key =
      ((r >> HISTOGRAM_SHIFT) << 6) | ((g >> HISTOGRAM_SHIFT) << 3) | (b >> HISTOGRAM_SHIFT);
    const cell = cells.get(key) ?? [0, 0, 0, 0];
    cells.set(key, [
      cell[0] + alpha,
      cell[1] + r * alpha,
      cell[2] + g * alpha,
      cell[3] + b * alpha,
    ]);
  }
  for (const cell of cells.values()) if (cell[0] > fullest[0]) fullest = cell;
  const [weight, ...sums] = fullest;
  if (weight === 0) return INVISIBLE;
  const hex = sums.map((sum) =>
    Math.round(sum / weight)
      .toString(16)
      .padStart(2, '0'),
  );
  return `#${hex.join('')}`;
}
