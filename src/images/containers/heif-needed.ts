import type { HeifItem, HeifMeta } from './heif-items.js';
import { isAlphaType } from './heif-properties.js';

const CODED_TYPES = ['av01', 'hvc1', 'hev1'];

/**
 * The items that the primary picture is decoded from: itself, its tiles, and the alpha channels of
 * these. Thumbnails, depth and gain maps are not among them, nor is metadata.
 *
 * An alpha channel is an item that refers to its picture by `auxl` and says what it is: ISO/IEC
 * 23008-12, section 6.6.4.8. A picture has one; where a file tells of more, the first counts.
 *
 * @param bytes the `meta` box
 */
export function neededItems(bytes: Buffer, meta: Omit<HeifMeta, 'needed'>): Set<HeifItem> {
  const colours = new Set([meta.primary, ...tilesOf(meta.primary, meta)]);
  const needed = new Set(colours);
  const alphas = alphasOf(bytes, meta);
  const withAlpha = new Set<HeifItem>();
  for (const { type, from, to } of meta.references) {
    const alpha = meta.items.get(from);
    if (type !== 'auxl' || !alpha || !alphas.has(alpha) || colours.has(alpha)) continue;
    const masters = to
      .flatMap((id) => meta.items.get(id) ?? [])
      .filter((item) => colours.has(item) && !withAlpha.has(item));
    for (const item of masters) withAlpha.add(item);
    if (masters.length === 0 || needed.has(alpha)) continue;
    for (const item of [alpha, ...tilesOf(alpha, meta)]) needed.add(item);
  }
  return needed;
}

/** Those that decoders can read. */
function alphasOf(bytes: Buffer, meta: Pick<HeifMeta, 'items'>): Set<HeifItem> {
  const alphas = [...meta.items.values()].filter((item) => {
    const auxC = item.properties.find(({ type }) => type === 'auxC');
    const isAlpha = auxC && isAlphaType(bytes.subarray(auxC.body, auxC.end));
    return isAlpha && (isCoded(item) || isWholeGrid(item, meta));
  });
  return new Set(alphas);
}

function tilesOf({ type, tiles }: HeifItem, { items }: Pick<HeifMeta, 'items'>): HeifItem[] {
  if (type !== 'grid') return [];
  return tiles.flatMap((id) => items.get(id) ?? []).filter(isCoded);
}

function isWholeGrid(item: HeifItem, meta: Pick<HeifMeta, 'items'>): boolean {
  return item.type === 'grid' && tilesOf(item, meta).length === item.tiles.length;
}

function isCoded({ type }: HeifItem): boolean {
  return CODED_TYPES.includes(type);
}
