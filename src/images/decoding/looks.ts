import { rgbaToThumbHash } from 'thumbhash';
import { fromRaw, type Pixels, toPixels, within } from './pixels.js';

/** What stands for a picture until it is loaded. */
export interface Looks {
  placeholder: string;
  dominantColor: string;
}

/** Enough for a ThumbHash, which keeps seven waves along a side; it takes up to 100 pixels. */
const LONGEST_SIDE = 48;
/** Bits of a channel that do not tell colours apart in the histogram: 8 steps of 32 are left. */
const IGNORED_BITS = 5;
/** What a picture without a single visible pixel counts as. */
const INVISIBLE = '#ffffff';

/** The pixels of similar colours: the sum of their opacities, and of each channel times opacity. */
interface Cell {
  weight: number;
  r: number;
  g: number;
  b: number;
}

/** The ThumbHash and the dominant colour of a picture, from its thumbnail. */
export async function looksOf(thumbnail: Pixels): Promise<Looks> {
  const small = fromRaw(thumbnail).resize(within(LONGEST_SIDE)).toColourspace('srgb');
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
function dominantColor(rgba: Uint8Array): string {
  const cells = new Map<number, Cell>();
  for (let at = 0; at + 3 < rgba.length; at += 4) {
    const r = rgba[at] ?? 0;
    const g = rgba[at + 1] ?? 0;
    const b = rgba[at + 2] ?? 0;
    const alpha = rgba[at + 3] ?? 0;
    const key = ((r >> IGNORED_BITS) << 6) | ((g >> IGNORED_BITS) << 3) | (b >> IGNORED_BITS);
    const cell = cells.get(key) ?? { weight: 0, r: 0, g: 0, b: 0 };
    cell.weight += alpha;
    cell.r += r * alpha;
    cell.g += g * alpha;
    cell.b += b * alpha;
    cells.set(key, cell);
  }
  const fullest = [...cells.values()].reduce((a, b) => (b.weight > a.weight ? b : a));
  if (fullest.weight === 0) return INVISIBLE;
  const mean = [fullest.r, fullest.g, fullest.b].map((sum) => Math.round(sum / fullest.weight));
  return `#${Buffer.from(mean).toString('hex')}`;
}
