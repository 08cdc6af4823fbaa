import type { PictureFacts } from './container.js';
import { orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { type HeifMeta, isPicture, namesOf, readMeta } from './heif-meta.js';
import { checkGrid } from './heif-picture.js';
import { profileIn } from './icc-profile.js';
import { childBoxes, FULL_BOX_BYTES, type IsoBox } from './iso-boxes.js';

/** Of pictures and their codecs: ISO/IEC 23008-12, section 10, and AV1 Image File Format, section 8. */
const BRANDS = [
  ...['mif1', 'mif2', 'msf1', 'miaf', 'heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm'],
  ...['hevs', 'avif', 'avis', 'avio', 'MA1A', 'MA1B', 'MiHE', 'MiHB', 'MiHA', 'MiPr', 'tmap'],
];
/** What decoding needs of the `meta` box. */
const KEPT_CHILDREN = ['hdlr', 'pitm', 'iinf', 'iloc', 'iprp', 'iref', 'idat'];
/**
 * The properties that change how a picture is decoded or shown, and how many bytes of each mean
 * something: ISO/IEC 23008-12, section 6.5, and ISO/IEC 14496-12, section 12.1. `colr`, `pixi` and
 * `auxC` tell it themselves.
 */
const KEPT_PROPERTIES: Record<string, number> = {
  ...{ ispe: 12, pasp: 8, clap: 32, irot: 1, imir: 1, clli: 4, mdcv: 24, amve: 8, lsel: 2 },
  ...{ a1op: 1, rloc: 12, a1lx: 13, hvcC: Infinity, av1C: Infinity },
};
/** The kinds of auxiliary pictures that standards name, such as alpha. */
const AUXILIARY_TYPE = /^urn:mpeg:[\w:]{1,60}\0/;
/** Primaries, transfer characteristics, matrix and range by their code points. */
const NCLX_BYTES = 7;
/** Before the name in `hdlr`: ISO/IEC 14496-12, section 8.4.3. */
const HANDLER_BYTES = FULL_BOX_BYTES + 20;

/**
 * A HEIC or AVIF file without its metadata, in place: items are found by where they lie in the
 * file, so nothing moves. Items that are no pictures and bytes that belong to nothing are blanked,
 * boxes that decoding does not need become empty `free` boxes, and what follows the boxes is cut.
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

  for (const box of boxes) {
    if (box.type === 'mdat') blankUnused(picture, box, meta, 'file');
    else if (box.type === 'ftyp') stripBrands(picture, box);
    else if (box.type !== 'meta') makeFree(picture, box);
  }
  if (meta.idat) blankUnused(metaBytes, meta.idat, meta, 'idat');
  stripMeta(metaBytes, meta);
  for (const mdat of boxes.filter(({ type }) => type === 'mdat')) fillExif(picture, mdat, meta);
  return picture;
}

/** Brands that say nothing to decoders give way to one that any picture has. */
function stripBrands(picture: Buffer, { body, end }: IsoBox): void {
  // The major brand is what the file was taken by; its minor version says nothing.
  picture.fill(0, body + 4, Math.min(body + 8, end));
  for (let at = body + 8; at < end; at += 4) {
    const isBrand = BRANDS.includes(picture.toString('latin1', at, Math.min(at + 4, end)));
    if (!isBrand) picture.write('mif1', at, Math.min(4, end - at), 'latin1');
  }
}

/** The walk has seen only grids that lie in the `meta` box. */
function checkStoredGrid(file: Buffer, metaBytes: Buffer, meta: HeifMeta): void {
  const { type, extents } = meta.primary;
  const [extent] = extents;
  if (type !== 'grid' || extent?.source !== 'file') return;
  checkGrid(file.subarray(extent.start, extent.end), metaBytes, meta);
}

/** Blanks what no picture refers to in a box of data. */
function blankUnused(bytes: Buffer, box: IsoBox, meta: HeifMeta, source: 'file' | 'idat'): void {
  const origin = source === 'idat' ? box.body : 0;
  const used = [...meta.items.values()]
    .filter(isPicture)
    .flatMap(({ extents }) => extents)
    .filter((extent) => extent.source === source)
    .map(({ start, end }) => ({ start: origin + start, end: origin + end }))
    .filter(({ start, end }) => start >= box.body && end <= box.end)
    .sort((one, other) => one.start - other.start);
  let at = box.body;
  for (const { start, end } of used) {
    if (start > at) bytes.fill(0, at, start);
    at = Math.max(at, end);
  }
  bytes.fill(0, at, box.end);
}

function stripMeta(bytes: Buffer, meta: HeifMeta): void {
  for (const child of meta.children) {
    if (!KEPT_CHILDREN.includes(child.type)) makeFree(bytes, child);
    else if (child.type === 'hdlr') bytes.fill(0, child.body + HANDLER_BYTES, child.end);
    else if (child.type === 'iprp') stripProperties(bytes, child);
  }
  for (const entry of meta.entries) bytes.fill(0, namesOf(bytes, entry), entry.end);
  for (const property of meta.properties) {
    const kept = keptBytesOf(bytes, property);
    if (kept === undefined) makeFree(bytes, property);
    else bytes.fill(0, Math.min(property.body + kept, property.end), property.end);
  }
}

/** How many bytes of a property are kept; undefined when it goes as a whole. */
function keptBytesOf(bytes: Buffer, { type, body, end }: IsoBox): number | undefined {
  if (type === 'colr') return keptColours(bytes.subarray(body, end));
  // The number of channels, and the depth of each.
  if (type === 'pixi') return FULL_BOX_BYTES + 1 + (bytes[body + FULL_BOX_BYTES] ?? 0);
  if (type === 'auxC') {
    const [name] = AUXILIARY_TYPE.exec(bytes.toString('latin1', body + FULL_BOX_BYTES, end)) ?? [];
    return name === undefined ? undefined : FULL_BOX_BYTES + name.length;
  }
  return Object.hasOwn(KEPT_PROPERTIES, type) ? KEPT_PROPERTIES[type] : undefined;
}

/** ISO/IEC 14496-12, section 12.1.5: code points, or an ICC profile. */
function keptColours(colr: Buffer): number | undefined {
  const kind = colr.toString('latin1', 0, 4);
  if (kind === 'nclx') return 4 + NCLX_BYTES;
  const profile = kind === 'prof' || kind === 'rICC' ? profileIn(colr.subarray(4)) : undefined;
  return profile && 4 + profile.length;
}

function stripProperties(bytes: Buffer, iprp: IsoBox): void {
  for (const child of childBoxes(bytes, iprp.body, iprp.end)) {
    if (child.type !== 'ipco' && child.type !== 'ipma') makeFree(bytes, child);
  }
}

/** The size stays, in whatever form it is told: later boxes keep their places. */
function makeFree(bytes: Buffer, box: IsoBox): void {
  bytes.write('free', box.start + 4, 'latin1');
  bytes.fill(0, box.body, box.end);
}

/** Puts an EXIF block that says nothing where there was one: some decoders refuse blank ones. */
function fillExif(bytes: Buffer, mdat: IsoBox, { items }: HeifMeta): void {
  // Four bytes tell how far the TIFF header lies behind them: ISO/IEC 23008-12, annex A.2.1.
  const exif = Buffer.concat([Buffer.alloc(4), orientationExif(1)]);
  for (const { type, extents, isExternal } of items.values()) {
    const [extent] = extents;
    if (type !== 'Exif' || isExternal || extent?.source !== 'file') continue;
    const { start, end } = extent;
    const fits = start >= mdat.body && end <= mdat.end && end - start >= exif.length;
    if (fits) exif.copy(bytes, start);
  }
}
