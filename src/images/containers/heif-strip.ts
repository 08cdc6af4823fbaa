import type { PictureFacts } from './container.js';
import type { ForEachPart } from './format-walk.js';
import type { Extent, HeifItem, HeifMeta } from './heif-items.js';
import { readMeta } from './heif-meta.js';
import { checkGrid, gridBytes } from './heif-picture.js';
import { writeMeta } from './heif-write.js';
import { childBoxes, FULL_BOX_BYTES, type IsoBox } from './iso-boxes.js';

/** Of pictures and their codecs: ISO/IEC 23008-12, section 10, and AV1 Image File Format, section 8. */
const BRANDS = [
  ...['mif1', 'mif2', 'miaf', 'heic', 'heix', 'heim', 'heis', 'avif', 'avio', 'MA1A', 'MA1B'],
  ...['MiHE', 'MiHB', 'MiHA', 'MiPr', 'tmap'],
];
/** Of image sequences, and the brands of their pictures: the `moov` box that they need goes. */
const SEQUENCE_BRANDS = new Map(
  Object.entries({
    ...{ msf1: 'mif1', avis: 'avif' },
    ...{ hevc: 'heic', hevx: 'heix', hevm: 'heim', hevs: 'heis' },
  }),
);

/**
 * A HEIC or AVIF file without its metadata, in place: items are found by where they lie in the
 * file, so nothing moves. The `meta` box is written anew within its length and tells of the items
 * alone that the primary picture is decoded from. All other bytes are blanked, boxes that decoding
 * does not need become empty `free` boxes, and what follows the boxes is cut.
 */
export function stripHeif(file: Buffer, _facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const boxes: IsoBox[] = [];
  forEachPart((start, end) => {
    const [box] = childBoxes(file.subarray(0, end), start, end);
    if (box) boxes.push(box);
  });
  const picture = file.subarray(0, boxes.at(-1)?.end);
  const metaBox = boxes.find(({ type }) => type === 'meta');
  if (!metaBox) return picture;
  const metaBytes = picture.subarray(metaBox.start, metaBox.end);
  const meta = readMeta(metaBytes, metaBox.body - metaBox.start);
  checkStoredGrid(picture, metaBytes, meta);

  const used = usedExtents(picture, metaBytes, meta);
  for (const box of boxes) {
    if (box.type === 'mdat') blankUnused(picture, box, used, 'file');
    else if (box.type === 'ftyp') stripBrands(picture, box);
    else if (box.type !== 'meta') makeFree(picture, box);
  }
  if (meta.idat) blankUnused(metaBytes, meta.idat, used, 'idat');
  const content = metaBox.body + FULL_BOX_BYTES;
  writeMeta(metaBytes, meta, metaBox.end - content).copy(picture, content);
  picture.fill(0, metaBox.body, content);
  return picture;
}

/** Brands that say nothing to decoders give way to one that any picture has. */
function stripBrands(picture: Buffer, { body, end }: IsoBox): void {
  for (let at = body; at < end; at += 4) {
    const brand = picture.toString('latin1', at, Math.min(at + 4, end));
    const still = SEQUENCE_BRANDS.get(brand) ?? brand;
    const kept = BRANDS.includes(still) ? still : 'mif1';
    picture.write(kept, at, Math.min(4, end - at), 'latin1');
  }
  // The version of the first brand says nothing.
  picture.fill(0, body + 4, Math.min(body + 8, end));
}

/** The walk has seen only grids that lie in the `meta` box. */
function checkStoredGrid(file: Buffer, metaBytes: Buffer, meta: HeifMeta): void {
  const { type, extents } = meta.primary;
  const [extent] = extents;
  if (type !== 'grid' || extent?.source !== 'file') return;
  checkGrid(file.subarray(extent.start, extent.end), metaBytes, meta);
}

/** Where the bytes lie that the picture is decoded from. */
function usedExtents(file: Buffer, metaBytes: Buffer, meta: HeifMeta): Extent[] {
  const sources = { file, idat: metaBytes.subarray(meta.idat?.body, meta.idat?.end) };
  const used = ({ type, extents }: HeifItem): Extent[] => {
    const [extent] = extents;
    if (type !== 'grid' || !extent) return extents;
    const { source, start, end } = extent;
    const length = gridBytes(sources[source].subarray(start, end));
    return [{ source, start, end: Math.min(start + length, end) }];
  };
  return [...meta.needed].flatMap(used);
}

/** Blanks what no needed item refers to in a box of data. */
function blankUnused(bytes: Buffer, box: IsoBox, used: Extent[], source: 'file' | 'idat'): void {
  const origin = source === 'idat' ? box.body : 0;
  const kept = used
    .filter((extent) => extent.source === source)
    .map(({ start, end }) => ({ start: origin + start, end: origin + end }))
    .filter(({ start, end }) => start >= box.body && end <= box.end)
    .sort((one, other) => one.start - other.start);
  let at = box.body;
  for (const { start, end } of kept) {
    if (start > at) bytes.fill(0, at, start);
    at = Math.max(at, end);
  }
  bytes.fill(0, at, box.end);
}

/** The size stays, in whatever form it is told: later boxes keep their places. */
function makeFree(bytes: Buffer, box: IsoBox): void {
  bytes.write('free', box.start + 4, 'latin1');
  bytes.fill(0, box.body, box.end);
}
