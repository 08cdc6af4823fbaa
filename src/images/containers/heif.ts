import { ContainerRefused } from './container.js';
import type { ByteInput } from './byte-input.js';
import type { PartVisitor } from './format-walk.js';
import { type HeifItem, type HeifMeta, isPicture } from './heif-items.js';
import { readMeta } from './heif-meta.js';
import { readPrimary } from './heif-picture.js';
import { corrupt, isBoxType } from './iso-boxes.js';
import type { PictureTally } from './tally.js';

const BOX_HEADER_BYTES = 8;
const LARGE_HEADER_BYTES = 16;
const MAX_FTYP_BYTES = 512;
const MAX_META_BYTES = 1024 * 1024;
const MAX_BOXES = 100;
/** A file that ends inside of one of these was cut off; another such box is no box at all. */
const KNOWN_BOXES = ['ftyp', 'meta', 'mdat', 'moov', 'moof', 'free', 'skip', 'uuid'];

/** A box of the file's top level. */
interface TopBox {
  type: string;
  headerBytes: number;
  start: number;
  /** Infinity when it goes on to the end of the file. */
  end: number;
}

/** Where the pictures' bytes may lie. */
interface Range {
  start: number;
  end: number;
}

interface Layout {
  meta: HeifMeta | undefined;
  mdats: Range[];
  hasMovie: boolean;
  /** Where the last box ends. */
  end: number;
}

/**
 * A HEIC or AVIF file: ISO/IEC 23008-12, section 6. Its parts are the boxes of the top level, in
 * any order. Whatever follows them and is no box does not belong to the picture.
 *
 * Every extent of every item has to lie in the file, because decoders make up what is missing.
 */
export function* walkHeif(
  input: ByteInput,
  tally: PictureTally,
  visit: PartVisitor,
): Generator<undefined, void> {
  const layout: Layout = { meta: undefined, mdats: [], hasMovie: false, end: 0 };
  for (let count = 0; ; count += 1) {
    const box = yield* nextBox(input);
    if (!box) break;
    if (count >= MAX_BOXES) throw corrupt(`The file has more than ${MAX_BOXES} boxes.`);
    if (box.type === 'meta') layout.meta = yield* readMetaBox(input, box, layout, tally);
    const end = yield* skipBox(input, box);
    if (end === undefined) break;
    if (box.type === 'ftyp' && end - box.start > MAX_FTYP_BYTES) throw corrupt('Too many brands.');
    if (box.type === 'mdat') layout.mdats.push({ start: box.start + box.headerBytes, end });
    if (box.type === 'moov') layout.hasMovie = true;
    layout.end = end;
    visit(box.start, end);
  }
  checkLayout(layout);
}

/** @returns undefined where the boxes end */
function* nextBox(input: ByteInput): Generator<undefined, TopBox | undefined> {
  while (!input.has(BOX_HEADER_BYTES) && !input.ended) yield;
  if (!input.has(BOX_HEADER_BYTES)) return undefined;
  const start = input.position;
  const header = input.peek(BOX_HEADER_BYTES);
  const type = header.toString('latin1', 4, 8);
  const size = header.readUInt32BE(0);
  if (!isBoxType(type)) return undefined;
  if (size === 0) return { type, headerBytes: BOX_HEADER_BYTES, start, end: Infinity };
  if (size !== 1) return boxOf(type, start, BOX_HEADER_BYTES, size);
  while (!input.has(LARGE_HEADER_BYTES) && !input.ended) yield;
  if (!input.has(LARGE_HEADER_BYTES)) return undefined;
  const large = Number(input.peek(LARGE_HEADER_BYTES).readBigUInt64BE(8));
  return boxOf(type, start, LARGE_HEADER_BYTES, large);
}

function boxOf(type: string, start: number, headerBytes: number, size: number) {
  return size < headerBytes ? undefined : { type, headerBytes, start, end: start + size };
}

function* readMetaBox(
  input: ByteInput,
  { headerBytes, start, end }: TopBox,
  { meta }: Layout,
  tally: PictureTally,
): Generator<undefined, HeifMeta> {
  if (meta) throw corrupt('The file describes its pictures twice.');
  if (end === Infinity) {
    while (!input.has(MAX_META_BYTES + 1) && !input.ended) yield;
  }
  const size = end === Infinity ? input.unread().length : end - start;
  if (size > MAX_META_BYTES) throw corrupt('What describes the pictures is larger than 1 MB.');
  while (!input.has(size)) yield;
  const bytes = input.peek(size);
  const read = readMeta(bytes, headerBytes);
  readPrimary(bytes, read, tally);
  return read;
}

/**
 * Moves behind a box.
 *
 * @returns its end, or undefined when it is no box, since the file ends before it does
 */
function* skipBox(input: ByteInput, box: TopBox): Generator<undefined, number | undefined> {
  if (box.end === Infinity) {
    while (!input.ended) {
      input.skipArrived();
      if (!input.has(1)) yield;
    }
    input.skipArrived();
    return input.length;
  }
  input.skip(box.end - input.position);
  while (!input.has(0) && !input.ended) yield;
  if (input.has(0)) return box.end;
  if (!KNOWN_BOXES.includes(box.type)) return undefined;
  throw new ContainerRefused('truncated', `The file ends inside of its box ${box.type}.`);
}

function checkLayout({ meta, mdats, hasMovie, end }: Layout): void {
  if (!meta && hasMovie) {
    throw new ContainerRefused('unsupported-type', 'The file holds a film and no picture.');
  }
  if (!meta) throw new ContainerRefused('truncated', 'The file ends before its picture.');
  for (const item of meta.items.values()) checkItem(item, meta, mdats, end);
  checkOverlaps(meta);
}

function checkItem(item: HeifItem, meta: HeifMeta, mdats: Range[], fileEnd: number): void {
  const { idat, needed } = meta;
  const kept = needed.has(item);
  if (item.isExternal && !kept) return;
  if (item.isExternal) throw corrupt('A picture lies in another file.');
  let total = 0;
  for (const { source, start, end } of item.extents) {
    total += end - start;
    if (source === 'idat') {
      if (!idat || end > idat.end - idat.body) throw corrupt('An item lies outside of its box.');
      continue;
    }
    if (end > fileEnd) throw new ContainerRefused('truncated', 'The file ends inside of an item.');
    const inData = mdats.some((mdat) => start >= mdat.start && end <= mdat.end);
    if (kept && !inData) throw corrupt('A picture lies outside of the boxes for pictures.');
  }
  // Else a small file could make a decoder put together a huge item from the same bytes.
  if (total > fileEnd) throw corrupt('An item of the file is larger than the file.');
  if (kept && total === 0) throw corrupt('A picture has no bytes.');
}

/**
 * Refuses a file in which a picture shares bytes with metadata. Such bytes could neither be kept,
 * as they may be metadata, nor blanked, as they are pixels; and no program writes such files. Other
 * pictures may share bytes with it: encoders store equal tiles once.
 */
function checkOverlaps({ items, needed }: HeifMeta): void {
  for (const source of ['file', 'idat'] as const) {
    const ranges = [...items.values()]
      .filter((item) => needed.has(item) || (!item.isExternal && !isPicture(item)))
      .flatMap((item) => item.extents.map((extent) => ({ ...extent, kept: needed.has(item) })))
      .filter((range) => range.source === source && range.end > range.start)
      .sort((one, other) => one.start - other.start);
    let [keptEnd, droppedEnd] = [0, 0];
    for (const { start, end, kept } of ranges) {
      if (start < (kept ? droppedEnd : keptEnd)) throw corrupt('A picture overlaps metadata.');
      if (kept) keptEnd = Math.max(keptEnd, end);
      else droppedEnd = Math.max(droppedEnd, end);
    }
  }
}
