import { ContainerRefused } from './container.js';
import { type Extent, type HeifItem, type HeifMeta, isPicture } from './heif-items.js';
import { corrupt, FULL_BOX_BYTES, IsoFields } from './iso-boxes.js';
import type { PictureTally } from './tally.js';

const CODED_TYPES = { avif: ['av01'], heic: ['hvc1', 'hev1'] };

interface Size {
  width: number;
  height: number;
}

/**
 * What the `meta` box says of the primary picture.
 *
 * The size is told as it stands upright, because decoders turn the picture as the file says and
 * the orientation is always 1.
 *
 * @throws ContainerRefused `unsupported-type` for another codec, `too-many-pixels`, `corrupt-file`
 */
export function readPrimary(bytes: Buffer, meta: HeifMeta, tally: PictureTally): void {
  const { primary } = meta;
  const format = tally.facts.format === 'avif' ? 'avif' : 'heic';
  const coded = primary.type === 'grid' ? tilesOf(meta) : [primary];
  if (!coded.every(({ type }) => CODED_TYPES[format].includes(type))) {
    throw new ContainerRefused('unsupported-type', `The picture is not coded as ${format} is.`);
  }
  const size = sizeOf(bytes, primary);
  if (!size) throw corrupt('The file does not tell the size of its picture.');
  for (const item of meta.items.values()) {
    const each = isPicture(item) ? sizeOf(bytes, item) : undefined;
    if (each) tally.checkSize(each.width, each.height);
  }
  const [extent] = primary.extents;
  if (primary.type === 'grid' && extent?.source === 'idat') {
    checkGrid(idatBytes(bytes, meta, extent), bytes, meta);
  }
  if (isTurned(bytes, primary)) tally.setSize(size.height, size.width);
  else tally.setSize(size.width, size.height);
}

/**
 * Checks that a grid is as large as the file said, and no larger than its tiles fill: ISO/IEC
 * 23008-12, section 6.6.2.3. Decoders make room by what stands here.
 *
 * @param grid the bytes of the primary item
 */
export function checkGrid(grid: Buffer, bytes: Buffer, meta: HeifMeta): void {
  const fields = new IsoFields(grid, 0, grid.length);
  fields.skip(1);
  const sizeBytes = fields.uint(1) & 1 ? 4 : 2;
  const [rows, columns] = [fields.uint(1) + 1, fields.uint(1) + 1];
  const [width, height] = [fields.uint(sizeBytes), fields.uint(sizeBytes)];
  const size = sizeOf(bytes, meta.primary);
  if (size?.width !== width || size.height !== height) {
    throw corrupt('The file tells two sizes of its picture.');
  }
  const tiles = tilesOf(meta);
  const tile = tiles[0] && sizeOf(bytes, tiles[0]);
  if (tiles.length !== rows * columns || !tile) throw corrupt('The picture has a wrong grid.');
  // A row or a column that lies wholly outside is work for nothing.
  const fits = (count: number, side: number, whole: number) =>
    count * side >= whole && (count - 1) * side < whole;
  if (!fits(columns, tile.width, width) || !fits(rows, tile.height, height)) {
    throw corrupt('The tiles do not fill the picture.');
  }
}

/**
 * How many bytes of a grid mean something: what follows its size is not read.
 *
 * @param grid the bytes of an item
 */
export function gridBytes(grid: Buffer): number {
  return ((grid[1] ?? 0) & 1) === 1 ? 12 : 8;
}

/** By a quarter or three: the rotation of ISO/IEC 23008-12, section 6.5.10. */
function isTurned(bytes: Buffer, { properties }: HeifItem): boolean {
  const irot = properties.find(({ type }) => type === 'irot');
  return irot !== undefined && new IsoFields(bytes, irot.body, irot.end).uint(1) % 2 === 1;
}

function idatBytes(bytes: Buffer, { idat }: HeifMeta, { start, end }: Extent): Buffer {
  if (!idat || idat.body + end > idat.end) throw corrupt('An item lies outside of its box.');
  return bytes.subarray(idat.body + start, idat.body + end);
}

function tilesOf({ primary, items }: HeifMeta): HeifItem[] {
  const tiles = primary.tiles.map((id) => items.get(id));
  if (tiles.length === 0) throw corrupt('The picture is put together from nothing.');
  return tiles.map((tile) => {
    if (!tile) throw corrupt('The picture is put together from what is not there.');
    return tile;
  });
}

function sizeOf(bytes: Buffer, item: HeifItem): Size | undefined {
  const ispe = item.properties.find(({ type }) => type === 'ispe');
  if (!ispe) return undefined;
  const fields = new IsoFields(bytes, ispe.body + FULL_BOX_BYTES, ispe.end);
  return { width: fields.uint(4), height: fields.uint(4) };
}
