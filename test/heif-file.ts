import { boxOf, fullBoxOf, uint } from '../src/images/containers/iso-boxes.js';

export interface HeifFileItem {
  type: string;
  data: Buffer;
  /** Boxes; items that have the same one share it. */
  properties?: Buffer[];
  /** One more than its place in the list unless told. */
  id?: number;
  /** Not to be shown by itself. */
  isHidden?: boolean;
}

export interface HeifFileParts {
  brand?: string;
  /** The first is the primary picture. */
  items: HeifFileItem[];
  /** Entries of the `iref` box. */
  references?: Buffer[];
  /** What stands behind the fields of boxes. */
  tails?: Partial<Record<'pitm' | 'iloc' | 'ipma' | 'infe', Buffer>>;
  handler?: Buffer;
}

const HANDLER = Buffer.from(`\0\0\0\0pict${'\0'.repeat(13)}`, 'latin1');

/** A HEIC or AVIF file, put together as no encoder would. */
export function heifFile({ brand = 'avif', ...parts }: HeifFileParts): Buffer {
  const ftyp = boxOf('ftyp', Buffer.from(`${brand}\0\0\0\0${brand}mif1miaf`, 'latin1'));
  const dataAt = ftyp.length + metaBox(parts, 0).length + 8;
  return Buffer.concat([
    ftyp,
    metaBox(parts, dataAt),
    boxOf('mdat', ...parts.items.map(({ data }) => data)),
  ]);
}

/** The single picture of a file as an encoder writes it. */
export function pictureOf(file: Buffer): HeifFileItem & { properties: Buffer[] } {
  const ipco = boxNamed(file, 'ipco');
  const properties: Buffer[] = [];
  for (let at = 8; at < ipco.length; at += ipco.readUInt32BE(at)) {
    properties.push(ipco.subarray(at, at + ipco.readUInt32BE(at)));
  }
  const type = boxNamed(file, 'infe').toString('latin1', 16, 20);
  return { type, data: boxNamed(file, 'mdat').subarray(8), properties };
}

export function boxNamed(file: Buffer, type: string): Buffer {
  const at = file.indexOf(type, 0, 'latin1') - 4;
  return file.subarray(at, at + file.readUInt32BE(at));
}

/** An entry of the `iref` box. */
export function reference(type: string, from: number, ...to: number[]): Buffer {
  return boxOf(type, uint(2, from), uint(2, to.length), ...to.map((id) => uint(2, id)));
}

/** ISO/IEC 23008-12, section 6.6.2.3. */
export function gridOf(rows: number, columns: number, width: number, height: number): Buffer {
  return Buffer.concat([
    Buffer.from([0, 0, rows - 1, columns - 1]),
    uint(2, width),
    uint(2, height),
  ]);
}

function metaBox(
  { items, references = [], tails = {}, handler = HANDLER }: HeifFileParts,
  dataAt: number,
): Buffer {
  const idOf = (item: HeifFileItem) => uint(2, item.id ?? items.indexOf(item) + 1);
  const tail = (type: keyof typeof tails) => tails[type] ?? Buffer.alloc(0);
  const properties = [...new Set(items.flatMap((item) => item.properties ?? []))];
  const infos = items.map((item) =>
    fullBoxOf(
      'infe',
      2,
      item.isHidden ? 1 : 0,
      idOf(item),
      uint(2, 0),
      Buffer.from(`${item.type}\0`),
      tail('infe'),
    ),
  );
  let at = dataAt;
  const places = items.map((item) => {
    const place = [idOf(item), uint(2, 0), uint(2, 1), uint(4, at), uint(4, item.data.length)];
    at += item.data.length;
    return Buffer.concat(place);
  });
  const associations = items.map((item) => {
    const own = (item.properties ?? []).map((property) => 1 + properties.indexOf(property));
    return Buffer.concat([idOf(item), uint(1, own.length), Buffer.from(own)]);
  });
  const [primary] = items.map(idOf);
  return fullBoxOf(
    'meta',
    0,
    0,
    fullBoxOf('hdlr', 0, 0, handler),
    fullBoxOf('pitm', 0, 0, primary!, tail('pitm')),
    fullBoxOf('iloc', 0, 0, uint(2, 0x4400), uint(2, items.length), ...places, tail('iloc')),
    fullBoxOf('iinf', 0, 0, uint(2, items.length), ...infos),
    ...(references.length === 0 ? [] : [fullBoxOf('iref', 0, 0, ...references)]),
    boxOf(
      'iprp',
      boxOf('ipco', ...properties),
      fullBoxOf('ipma', 0, 0, uint(4, items.length), ...associations, tail('ipma')),
    ),
  );
}
