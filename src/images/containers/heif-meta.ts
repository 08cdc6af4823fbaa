import type {
  Associations,
  HeifItem,
  HeifMeta,
  HeifReference,
  LocationFields,
} from './heif-items.js';
import { neededItems } from './heif-needed.js';
import { type IsoBox, childBoxes, corrupt, FULL_BOX_BYTES, IsoFields } from './iso-boxes.js';

const MAX_ITEMS = 8192;
const MAX_EXTENTS = 16_384;

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
  handler.skip(12);

  const items = new Map<number, HeifItem>();
  const entries = readItemInfos(bytes, required(children, 'iinf'), items);
  const locations = readLocations(bytes, required(children, 'iloc'), items);
  const iref = single(children, 'iref');
  const references = iref ? readReferences(bytes, iref, items) : [];
  const properties = readProperties(bytes, required(children, 'iprp'), items);

  const primary = items.get(readPrimaryId(bytes, required(children, 'pitm')));
  if (!primary) throw corrupt('The file does not hold its primary picture.');
  const idat = single(children, 'idat');
  const parts = {
    ...locations,
    ...properties,
    children,
    entries,
    references,
    items,
    primary,
    idat,
  };
  return { ...parts, needed: neededItems(bytes, parts) };
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

function readItemInfos(
  bytes: Buffer,
  iinf: IsoBox,
  items: Map<number, HeifItem>,
): HeifMeta['entries'] {
  const fields = fieldsOf(bytes, iinf);
  // The count is not needed: the box ends where its entries do.
  fields.skip(fields.fullBox().version === 0 ? 2 : 4);
  const boxes = childBoxes(bytes, fields.position, iinf.end);
  if (boxes.length > MAX_ITEMS) throw corrupt(`The file has more than ${MAX_ITEMS} items.`);
  return boxes.map((box) => {
    const { id, type } = readItemInfo(bytes, box);
    if (items.has(id)) throw corrupt('The file has two items of one number.');
    const item = newItem(id, type);
    items.set(id, item);
    return { box, item };
  });
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

/** ISO/IEC 14496-12, section 8.11.3. */
function readLocations(
  bytes: Buffer,
  iloc: IsoBox,
  items: Map<number, HeifItem>,
): Pick<HeifMeta, 'located' | 'locationFields'> {
  const fields = fieldsOf(bytes, iloc);
  const locationFields = readLocationFields(fields);
  const { version } = locationFields;
  const count = fields.uint(version < 2 ? 2 : 4);
  const located = new Set<HeifItem>();
  let extents = 0;
  for (let read = 0; read < count; read += 1) {
    const id = fields.uint(version < 2 ? 2 : 4);
    const method = version === 0 ? 0 : fields.uint(2) & 0x0f;
    const isExternal = fields.uint(2) !== 0;
    const from = fields.uint(locationFields.base);
    const item = items.get(id) ?? unnamedItem(id, items);
    if (located.has(item)) throw corrupt('An item of the file has two places.');
    located.add(item);
    if (method > 1) throw corrupt('An item of the file lies inside another.');
    item.isExternal = isExternal;
    item.base = from;
    const extentCount = fields.uint(2);
    extents += extentCount;
    if (extents > MAX_EXTENTS) throw corrupt(`The items are cut into more than ${MAX_EXTENTS}.`);
    for (let extent = 0; extent < extentCount; extent += 1) {
      const source = method === 1 ? 'idat' : 'file';
      item.extents.push({ source, ...readExtent(fields, locationFields, from) });
    }
  }
  return { located, locationFields };
}

function readLocationFields(fields: IsoFields): LocationFields {
  const { version } = fields.fullBox();
  if (version > 2) throw corrupt('The places of the items are of an unknown version.');
  const sizes = fields.uint(2);
  return {
    version,
    offset: sizeAt(sizes, 12),
    length: sizeAt(sizes, 8),
    base: sizeAt(sizes, 4),
    index: version === 0 ? 0 : sizeAt(sizes, 0),
  };
}

function readExtent(fields: IsoFields, { index, offset, length }: LocationFields, base: number) {
  fields.skip(index);
  const start = base + fields.uint(offset);
  const end = start + fields.uint(length);
  return { start, end };
}

function sizeAt(sizes: number, shift: number): 0 | 4 | 8 {
  const size = (sizes >> shift) & 0x0f;
  if (size !== 0 && size !== 4 && size !== 8) throw corrupt('The file tells places unreadably.');
  return size;
}

/** Bytes that belong to something of no type, which is no picture. */
function unnamedItem(id: number, items: Map<number, HeifItem>): HeifItem {
  if (items.size >= 2 * MAX_ITEMS) throw corrupt(`The file has more than ${MAX_ITEMS} items.`);
  const item = newItem(id, '');
  items.set(id, item);
  return item;
}

function newItem(id: number, type: string): HeifItem {
  return { id, type, extents: [], isExternal: false, base: 0, tiles: [], properties: [] };
}

/** ISO/IEC 14496-12, section 8.11.12. */
function readReferences(
  bytes: Buffer,
  iref: IsoBox,
  items: Map<number, HeifItem>,
): HeifReference[] {
  const idBytes = fieldsOf(bytes, iref).fullBox().version === 0 ? 2 : 4;
  return childBoxes(bytes, iref.body + FULL_BOX_BYTES, iref.end).map((box) => {
    const fields = fieldsOf(bytes, box);
    const from = fields.uint(idBytes);
    const to = Array.from({ length: fields.uint(2) }, () => fields.uint(idBytes));
    if (box.type === 'dimg') items.get(from)?.tiles.push(...to);
    return { type: box.type, from, to };
  });
}

/** ISO/IEC 23008-12, section 9.3. */
function readProperties(
  bytes: Buffer,
  iprp: IsoBox,
  items: Map<number, HeifItem>,
): Pick<HeifMeta, 'properties' | 'associations'> {
  const children = childBoxes(bytes, iprp.body, iprp.end);
  const ipco = required(children, 'ipco');
  const properties = childBoxes(bytes, ipco.body, ipco.end);
  const associations = children
    .filter(({ type }) => type === 'ipma')
    .map((ipma) => readAssociations(fieldsOf(bytes, ipma), items, properties));
  for (const { item, properties } of associations.flatMap(({ entries }) => entries)) {
    item?.properties.push(...properties.flatMap(({ box }) => box ?? []));
  }
  return { properties, associations };
}

function readAssociations(
  fields: IsoFields,
  items: Map<number, HeifItem>,
  boxes: IsoBox[],
): Associations {
  const { version, flags } = fields.fullBox();
  const isWide = (flags & 1) !== 0;
  const entries: Associations['entries'] = [];
  const count = fields.uint(4);
  for (let read = 0; read < count; read += 1) {
    const item = items.get(fields.uint(version === 0 ? 2 : 4));
    const properties = Array.from({ length: fields.uint(1) }, () => {
      const association = isWide ? fields.uint(2) : fields.uint(1);
      const essential = isWide ? 0x8000 : 0x80;
      const box = boxes[(association & ~essential) - 1];
      return { box, isEssential: (association & essential) !== 0 };
    });
    entries.push({ item, properties });
  }
  return { version, isWide, entries };
}
