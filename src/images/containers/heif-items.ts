import type { IsoBox } from './iso-boxes.js';

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
  /** What the `iloc` box counts the places of its extents from. */
  base: number;
  /** The items that it is put together from: references `dimg`. */
  tiles: number[];
  properties: IsoBox[];
}

/** An entry of the `iref` box: numbers of items, which need not be there. */
export interface HeifReference {
  type: string;
  from: number;
  to: number[];
}

/** How many bytes the fields of the `iloc` box have. */
export interface LocationFields {
  version: number;
  offset: 0 | 4 | 8;
  length: 0 | 4 | 8;
  base: 0 | 4 | 8;
  /** Of the number that extents have from version 1 on. */
  index: 0 | 4 | 8;
}

/** An `ipma` box. */
export interface Associations {
  version: number;
  /** The indices of properties have two bytes. */
  isWide: boolean;
  entries: {
    item: HeifItem | undefined;
    properties: { box: IsoBox | undefined; isEssential: boolean }[];
  }[];
}

/** The `meta` box of a picture: ISO/IEC 23008-12 section 6, ISO/IEC 14496-12 section 8.11. */
export interface HeifMeta {
  children: IsoBox[];
  /** Of the `ipco` box. */
  properties: IsoBox[];
  associations: Associations[];
  /** The entries `infe` of the `iinf` box. */
  entries: { box: IsoBox; item: HeifItem }[];
  locationFields: LocationFields;
  /** The items of the `iloc` box, in its order. */
  located: Set<HeifItem>;
  references: HeifReference[];
  items: Map<number, HeifItem>;
  primary: HeifItem;
  /** What the primary picture is decoded from. */
  needed: Set<HeifItem>;
  idat: IsoBox | undefined;
}

/** Items that decoders can make pixels from, or that stand for such. */
const PICTURE_TYPES = ['av01', 'hvc1', 'hev1', 'grid', 'iovl', 'iden'];

/** Whether an item is a picture by its type; metadata, such as Exif and XMP, is not. */
export function isPicture(item: HeifItem): boolean {
  return PICTURE_TYPES.includes(item.type);
}
