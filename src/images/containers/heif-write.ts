import type { HeifItem, HeifMeta, HeifReference } from './heif-items.js';
import { PropertyWriter } from './heif-properties.js';
import { boxOf, fullBoxOf, type IsoBox, uint } from './iso-boxes.js';

/** Handler, and 12 bytes that mean nothing: ISO/IEC 14496-12, section 8.4.3. */
const HANDLER = Buffer.concat([Buffer.from('\0\0\0\0pict', 'latin1'), Buffer.alloc(12)]);
const BOX_HEADER_BYTES = 8;

/**
 * The content of a `meta` box anew, as long as it was: it tells of the needed items alone, and of
 * each only what decoders read. The items are numbered from one, since numbers can spell words too.
 *
 * @param bytes the box, whose `idat` has no other bytes left than items'
 * @param length of the content in bytes
 */
export function writeMeta(bytes: Buffer, meta: HeifMeta, length: number): Buffer {
  const boxes = new MetaWriter(bytes, meta).write();
  const left = length - boxes.reduce((sum, box) => sum + box.length, 0);
  // Too little for a box of its own makes the name of the handler longer, which is empty.
  if (left >= BOX_HEADER_BYTES) boxes.push(boxOf('free', Buffer.alloc(left - BOX_HEADER_BYTES)));
  const padded = left < BOX_HEADER_BYTES ? left : 0;
  return Buffer.concat(
    boxes.map((box) => {
      if (box.toString('latin1', 4, 8) !== 'hdlr') return box;
      return boxOf('hdlr', box.subarray(BOX_HEADER_BYTES), Buffer.alloc(padded));
    }),
  );
}

/** No box that it writes is longer than it was: the versions and the sizes of the fields stay. */
class MetaWriter {
  private readonly bytes: Buffer;
  private readonly meta: HeifMeta;
  private readonly properties: PropertyWriter;
  private readonly numbers = new Map<HeifItem, number>();

  constructor(bytes: Buffer, meta: HeifMeta) {
    this.bytes = bytes;
    this.meta = meta;
    this.properties = new PropertyWriter(bytes);
    for (const item of meta.items.values()) {
      if (meta.needed.has(item)) this.numbers.set(item, this.numbers.size + 1);
    }
  }

  write(): Buffer[] {
    return this.meta.children.flatMap((child) => this.child(child) ?? []);
  }

  private child(box: IsoBox): Buffer | undefined {
    switch (box.type) {
      case 'hdlr':
        return this.handler(box);
      case 'pitm':
        return this.primary(box);
      case 'iinf':
        return this.infos(box);
      case 'iloc':
        return this.locations();
      case 'iref':
        return this.references(box);
      case 'iprp':
        return boxOf('iprp', ...this.itemProperties());
      case 'idat':
        return this.data(box);
      default:
        return undefined;
    }
  }

  private handler({ start, end }: IsoBox): Buffer {
    const written = fullBoxOf('hdlr', 0, 0, HANDLER);
    // An empty name ends with a zero; some files go without.
    return end - start > written.length ? fullBoxOf('hdlr', 0, 0, HANDLER, uint(1, 0)) : written;
  }

  private primary(box: IsoBox): Buffer {
    const version = this.versionOf(box);
    return fullBoxOf(
      'pitm',
      version,
      0,
      uint(version === 0 ? 2 : 4, this.number(this.meta.primary)),
    );
  }

  private infos(box: IsoBox): Buffer {
    const version = this.versionOf(box);
    const entries = this.meta.entries.flatMap(({ box: entry, item }) =>
      this.meta.needed.has(item) ? [this.info(entry, item)] : [],
    );
    return fullBoxOf('iinf', version, 0, uint(version === 0 ? 2 : 4, entries.length), ...entries);
  }

  private info(entry: IsoBox, item: HeifItem): Buffer {
    const version = this.versionOf(entry);
    const isHidden = this.bytes.readUInt8(entry.body + 3) & 1;
    const fields = [
      uint(version === 3 ? 4 : 2, this.number(item)),
      // Nothing is encrypted.
      uint(2, 0),
      Buffer.from(item.type, 'latin1'),
    ];
    const written = fullBoxOf('infe', version, isHidden, ...fields);
    const isNamed = entry.end - entry.start > written.length;
    return isNamed ? fullBoxOf('infe', version, isHidden, ...fields, uint(1, 0)) : written;
  }

  /** ISO/IEC 14496-12, section 8.11.3. */
  private locations(): Buffer {
    const { version, offset, length, base } = this.meta.locationFields;
    const located = [...this.meta.located].filter((item) => this.meta.needed.has(item));
    const entries = located.flatMap((item) => [
      uint(version < 2 ? 2 : 4, this.number(item)),
      uint(version === 0 ? 0 : 2, item.extents[0]?.source === 'idat' ? 1 : 0),
      uint(2, 0),
      uint(base, item.base),
      uint(2, item.extents.length),
      ...item.extents.flatMap(({ start, end }) => [
        uint(offset, start - item.base),
        uint(length, end - start),
      ]),
    ]);
    const sizes = uint(2, (offset << 12) | (length << 8) | (base << 4));
    const count = uint(version < 2 ? 2 : 4, located.length);
    return fullBoxOf('iloc', version, 0, sizes, count, ...entries);
  }

  private references(box: IsoBox): Buffer | undefined {
    const version = this.versionOf(box);
    const size = version === 0 ? 2 : 4;
    const references = this.meta.references.flatMap((reference) => {
      const [from, ...to] = this.referred(reference);
      if (from === undefined || to.length === 0) return [];
      const numbers = to.map((item) => uint(size, this.number(item)));
      return [boxOf(reference.type, uint(size, this.number(from)), uint(2, to.length), ...numbers)];
    });
    return references.length === 0 ? undefined : fullBoxOf('iref', version, 0, ...references);
  }

  /**
   * The item that refers and those that it refers to, as far as decoding needs them: tiles, the
   * picture of an alpha channel, and the alpha channel that a picture was multiplied with.
   */
  private referred({ type, from, to }: HeifReference): HeifItem[] {
    const items = [from, ...to].flatMap((id) => this.meta.items.get(id) ?? []);
    const isNeeded = type === 'dimg' ? items[0]?.type === 'grid' : ['auxl', 'prem'].includes(type);
    const [first] = items;
    if (!isNeeded || first?.id !== from || !this.meta.needed.has(first)) return [];
    return items.filter((item) => this.meta.needed.has(item));
  }

  /** ISO/IEC 23008-12, section 9.3. */
  private itemProperties(): Buffer[] {
    const kept = new Map([...this.meta.needed].map((item) => [item, this.properties.keptOf(item)]));
    const used = new Set([...kept.values()].flatMap((properties) => [...properties]));
    const properties = this.meta.properties.filter((property) => used.has(property));
    const indices = new Map(properties.map((property, at) => [property, at + 1]));
    const boxes = properties.flatMap((property) => this.properties.write(property) ?? []);
    return [boxOf('ipco', ...boxes), ...this.associations(kept, indices)];
  }

  /** @param kept is used up: a property belongs to an item once */
  private associations(kept: Map<HeifItem, Set<IsoBox>>, indices: Map<IsoBox, number>): Buffer[] {
    return this.meta.associations.map(({ version, isWide, entries }) => {
      const written = entries.flatMap(({ item, properties }) => {
        const open = item && kept.get(item);
        const associated = properties.filter(({ box }) => box && open?.delete(box));
        if (!item || associated.length === 0) return [];
        const fields = associated.map(({ box, isEssential }) => {
          const index = (box && indices.get(box)) ?? 0;
          return isWide
            ? uint(2, index | (isEssential ? 0x8000 : 0))
            : uint(1, index | (isEssential ? 0x80 : 0));
        });
        const id = uint(version === 0 ? 2 : 4, this.number(item));
        return [Buffer.concat([id, uint(1, associated.length), ...fields])];
      });
      return fullBoxOf('ipma', version, isWide ? 1 : 0, uint(4, written.length), ...written);
    });
  }

  /** Places in it are told from its beginning, so it stays as it is. */
  private data({ body, end }: IsoBox): Buffer | undefined {
    const isUsed = [...this.meta.needed].some(({ extents }) =>
      extents.some(({ source }) => source === 'idat'),
    );
    return isUsed ? boxOf('idat', this.bytes.subarray(body, end)) : undefined;
  }

  private number(item: HeifItem): number {
    return this.numbers.get(item) ?? 0;
  }

  private versionOf({ body }: IsoBox): number {
    return this.bytes.readUInt8(body);
  }
}
