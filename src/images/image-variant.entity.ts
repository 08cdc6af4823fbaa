import { defineEntity, p } from '@mikro-orm/core';
import { CONTAINER_FORMATS, type FormatName } from './containers/container.js';
import { VARIANT_NAMES } from './decoding/variants.js';
import { Image } from './image.entity.js';

/** The sizes that a file of an image can be asked for. */
export const FILE_SIZES = ['original', ...VARIANT_NAMES] as const;

export type FileSize = (typeof FILE_SIZES)[number];

const FORMATS = Object.keys(CONTAINER_FORMATS) as FormatName[];

const ImageVariantSchema = defineEntity({
  name: 'ImageVariant',
  tableName: 'image_variants',
  comment: 'The stored files of an image: its original without metadata, and its sizes',
  properties: {
    imageId: () =>
      p.manyToOne(Image).mapToPk().primary().fieldName('image_id').deleteRule('cascade'),
    name: p.enum(FILE_SIZES).primary(),
    format: p.enum(FORMATS).primary(),
    storageKey: p.string().length(200).unique(),
    width: p.integer(),
    height: p.integer(),
    bytes: p.integer(),
    /** SHA-256 of the stored file, in hex. */
    checksum: p.string().length(64),
    createdAt: p.datetime(3),
  },
});

/** A file that is stored. */
export interface StoredFile {
  imageId: string;
  name: FileSize;
  format: FormatName;
  storageKey: string;
  width: number;
  height: number;
  bytes: number;
  checksum: string;
  /** Since when; from now on, unless it has been there before. */
  storedAt?: Date;
}

/**
 * One stored file of an image, in one size and format. Width and height are in pixels, upright. Rows
 * are replaced with each version of the files, never changed, as no key gets other content.
 */
export class ImageVariant extends ImageVariantSchema.class {
  constructor(file: StoredFile) {
    super();
    this.imageId = file.imageId;
    this.name = file.name;
    this.format = file.format;
    this.storageKey = file.storageKey;
    this.width = file.width;
    this.height = file.height;
    this.bytes = file.bytes;
    this.checksum = file.checksum;
    this.createdAt = file.storedAt ?? new Date();
  }
}
ImageVariantSchema.setClass(ImageVariant);
