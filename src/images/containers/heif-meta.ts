import { type IsoBox, childBoxes, corrupt, FULL_BOX_BYTES, IsoFields } from './iso-boxes.js';

/** Bytes of an item, in the file or in the `idat` box. */
export interface Extent {
  source: 'file' | 'idat';
  start: number;
  end: number;
}

export interface HeifItem {
  id: number;
  /** Four characters, such as `hvc1` or `Exif`. */
  type: string;
  extents: Extent[];
  /** The bytes lie in another file. */
  isExternal: boolean;
  /** The items that it is put together from: references `dimg`. */
  tiles: number[];
  properties: IsoBox[];
}

/** The `meta` box of a picture: ISO/IEC 23008-12 section 6, ISO/IEC 14496-12 section 8.11. */
export interface HeifMeta {
  children: IsoBox[];
  /** Of the `ipco` box. */
  properties: IsoBox[];
  /** The entries `infe` of the `iinf` box. */
  entries: IsoBox[];
  items: Map<number, HeifItem>;
  primary: HeifItem;
  idat: IsoBox | undefined;
}

const MAX_ITEMS = 8192;
const MAX_EXTENTS = 16_384;
/** Items that decoders can make pixels from, or that stand for such. */
const PICTURE_TYPES = ['av01', 'hvc1', 'hev1', 'grid', 'iovl', 'iden'];

export function isPicture(item: HeifItem): boolean {
  return PICTURE_TYPES.includes(item.type);
}

/**
 * Reads a `meta` box.
 *
 * @param bytes the box and nothing else
 * @throws ContainerRefused `corrupt-file`
 */
export function readMeta(bytes: Buffer, body: number): HeifMeta {
  const children = childBoxes(bytes, body + FULL_BOX_BYTES, bytes.length);
  const handler = fieldsOf(bytes, required(children, 'hdlr'));
  handler.skip(FULL_BOX_BYTES + 4);
  if (handler.text(4) !== 'pict') throw corrupt('The file does not hold pictures.');

  const items = new Map<number, HeifItem>();
  const entries = readItemInfos(bytes, required(children, 'iinf'), items);
  readLocations(bytes, required(children, 'iloc'), items);
  const iref = single(children, 'iref');
  if (iref) readReferences(bytes, iref, items);
  const properties = readProperties(bytes, required(children, 'iprp'), items);

  const primary = items.get(readPrimaryId(bytes, required(children, 'pitm')));
  if (!primary) throw corrupt('The file does not hold its primary picture.');
  return { children, properties, entries, items, primary, idat: single(children, 'idat') };
}

function single(boxes: IsoBox[], type: string): IsoBox | undefined {
  const [box, second] = boxes.filter((each) => each.type === type);
  if (second) throw corrupt(`The file has two boxes ${type}.`);
  return box;
}

function required(boxes: IsoBox[], type: string): IsoBox {
  const box = single(boxes, type);
  if (!box) throw corrupt(`The file has no box ${type}.`);
  return box;
}

function fieldsOf(bytes: Buffer, box: IsoBox): IsoFields {
  return new IsoFields(bytes, box.body, box.end);
}

function readPrimaryId(bytes: Buffer, pitm: IsoBox): number {
  const fields = fieldsOf(bytes, pitm);
  return fields.uint(fields.fullBox().version === 0 ? 2 : 4);
}

function readItemInfos(bytes: Buffer, iinf: IsoBox, items: Map<number, HeifItem>): IsoBox[] {
  const fields = fieldsOf(bytes, iinf);
  // The count is not needed: the box ends where its entries do.
  fields.skip(fields.fullBox().version === 0 ? 2 : 4);
  const entries = childBoxes(bytes, fields.position, iinf.end);
  if (entries.length > MAX_ITEMS) throw corrupt(`The file has more than ${MAX_ITEMS} items.`);
  for (const entry of entries) {
    const { id, type } = readItemInfo(bytes, entry);
    if (items.has(id)) throw corrupt('The file has two items of one number.');
    items.set(id, { id, type, extents: [], isExternal: false, tiles: [], properties: [] });
  }
  return entries;
}

/** Entries before version 2 name no type, so they are no pictures. */
function readItemInfo(bytes: Buffer, entry: IsoBox): { id: number; type: string } {
  if (entry.type !== 'infe') throw corrupt('The list of items holds something else.');
  const fields = fieldsOf(bytes, entry);
  const { version } = fields.fullBox();
  const id = fields.uint(version === 3 ? 4 : 2);
  fields.skip(2);
  return { id, type: version < 2 ? '' : fields.text(4) };
}

/** Where the names of an entry begin: behind its type. They end with the box. */
export function namesOf(bytes: Buffer, entry: IsoBox): number {
  const version = bytes[entry.body] ?? 0;
  return entry.body + FULL_BOX_BYTES + (version === 3 ? 4 : 2) + 2 + (version < 2 ? 0 : 4);
}

/** ISO/IEC 14496-12, section 8.11.3. */
function readLocations(bytes: Buffer, iloc: IsoBox, items: Map<number, HeifItem>): void {
  const fields = fieldsOf(bytes, iloc);
  const { version } = fields.fullBox();
  if (version > 2) throw corrupt('The places of the items are of an unknown version.');
  const sizes = fields.uint(2);
  const [offset, length, base] = [sizeAt(sizes, 12), sizeAt(sizes, 8), sizeAt(sizes, 4)];
  const index = version === 0 ? 0 : sizeAt(sizes, 0);
  const count = fields.uint(version < 2 ? 2 : 4);
  const located = new Set<number>();
  let extents = 0;
  for (let read = 0; read < count; read += 1) {
    const id = fields.uint(version < 2 ? 2 : 4);
    const method = version === 0 ? 0 : fields.uint(2) & 0x0f;
    const isExternal = fields.uint(2) !== 0;
    const from = fields.uint(base);
    const item = items.get(id) ?? unnamedItem(id, items);
    if (located.has(id)) throw corrupt('An item of the file has two places.');
    located.add(id);
    if (method > 1) throw corrupt('An item of the file lies inside another.');
    item.isExternal = isExternal;
    const extentCount = fields.uint(2);
    extents += extentCount;
    if (extents > MAX_EXTENTS) throw corrupt(`The items are cut into more than ${MAX_EXTENTS}.`);
    for (let extent = 0; extent < extentCount; extent += 1) {
      fields.skip(index);
      const start = from + fields.uint(offset);
      const end = start + fields.uint(length);
      item.extents.push({ source: method === 1 ? 'idat' : 'file', start, end });
    }
  }
}

function sizeAt(sizes: number, shift: number): 0 | 4 | 8 {
  const size = (sizes >> shift) & 0x0f;
  if (size !== 0 && size !== 4 && size !== 8) throw corrupt('The file tells places unreadably.');
  return size;
}

/** Bytes that belong to something of no type, which is no picture. */
function unnamedItem(id: number, items: Map<number, HeifItem>): HeifItem {
  if (items.size >= 2 * MAX_ITEMS) throw corrupt(`The file has more than ${MAX_ITEMS} items.`);
  const item = { id, type: '', extents: [], isExternal: false, tiles: [], properties: [] };
  items.set(id, item);
  return item;
}

/** ISO/IEC 14496-12, section 8.11.12. */
function readReferences(bytes: Buffer, iref: IsoBox, items: Map<number, HeifItem>): void {
  const idBytes = fieldsOf(bytes, iref).fullBox().version === 0 ? 2 : 4;
  for (const reference of childBoxes(bytes, iref.body + FULL_BOX_BYTES, iref.end)) {
    const fields = fieldsOf(bytes, reference);
    const item = items.get(fields.uint(idBytes));
    const count = fields.uint(2);
    for (let read = 0; read < count; read += 1) {
      const to = fields.uint(idBytes);
      if (reference.type === 'dimg') item?.tiles.push(to);
    }
  }
}

/** ISO/IEC 23008-12, section 9.3. */
function readProperties(bytes: Buffer, iprp: IsoBox, items: Map<number, HeifItem>): IsoBox[] {
  const children = childBoxes(bytes, iprp.body, iprp.end);
  const ipco = required(children, 'ipco');
  const properties = childBoxes(bytes, ipco.body, ipco.end);
  for (const ipma of children.filter(({ type }) => type === 'ipma')) {
    const fields = fieldsOf(bytes, ipma);
    const { version, flags } = fields.fullBox();
    const count = fields.uint(4);
    for (let read = 0; read < count; read += 1) {
      const item = items.get(fields.uint(version === 0 ? 2 : 4));
      const associations = fields.uint(1);
      for (let association = 0; association < associations; association += 1) {
        const index = flags & 1 ? fields.uint(2) & 0x7fff : fields.uint(1) & 0x7f;
        const property = properties[index - 1];
        if (property) item?.properties.push(property);
      }
    }
  }
  return properties;
}
