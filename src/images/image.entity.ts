import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../auth/user.entity.js';
import { dueIn, workColumns, type WorkError, type WorkRow } from '../queue/work-row.js';
import { type DecodeResult, type VariantName, VARIANT_NAMES } from './decoding/variants.js';
import type { UploadFormat } from './upload/upload-format.js';

export const IMAGE_TYPES = ['UPLOADED', 'GENERATED'] as const;
export const IMAGE_STATUSES = ['PENDING', 'PROCESSING', 'COMPLETED', 'FAILED'] as const;
export const VISIBILITIES = ['private', 'public'] as const;

export type ImageType = (typeof IMAGE_TYPES)[number];
export type ImageStatus = (typeof IMAGE_STATUSES)[number];
export type Visibility = (typeof VISIBILITIES)[number];

/** What is known of a picture: its size at once, its dimensions when it has been decoded. */
export interface ImageMetadata {
  /** Upright, in pixels. */
  width: number | null;
  height: number | null;
  /** Of the original, in bytes. */
  size: number;
  /** `jpeg`, `png` or `webp`: the type of the original, by its bytes. */
  format: string;
  mimeType: string;
}

const ImageSchema = defineEntity({
  name: 'Image',
  tableName: 'images',
  comment: 'Pictures that users uploaded or had made',
  properties: {
    id: p.uuid().primary(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').deleteRule('cascade'),
    type: p.enum(IMAGE_TYPES),
    status: p.enum(IMAGE_STATUSES),
    title: p.string().length(200).nullable(),
    description: p.text().nullable(),
    prompt: p.text().nullable(),
    visibility: p.enum(VISIBILITIES).default('private'),
    /** The key of the original; variants lie beside it. */
    storageKey: p.string().length(200),
    metadata: p.json<ImageMetadata>(),
    coinsUsed: p.bigint('number').default(0),
    /** SHA-256 of the upload, in hex. */
    checksum: p.string().length(64),
    placeholder: p.string().length(100).nullable(),
    errorCode: p.string().length(100).nullable(),
    errorDetail: p.text().nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
    ...workColumns,
  },
  indexes: [
    { properties: ['userId', 'createdAt', 'id'] },
    {
      name: 'images_next_attempt_at_index',
      expression:
        'create index images_next_attempt_at_index on images (user_id, next_attempt_at) where next_attempt_at is not null',
    },
  ],
  checks: [
    {
      name: 'images_unfinished_is_work',
      expression: `(status in ('PENDING', 'PROCESSING')) = (next_attempt_at is not null)`,
    },
    {
      name: 'images_failed_has_error',
      expression: `(status = 'FAILED') = (error_code is not null)`,
    },
  ],
});

const ImageVariantSchema = defineEntity({
  name: 'ImageVariant',
  tableName: 'image_variants',
  comment: 'The stored sizes of a completed image',
  properties: {
    imageId: () =>
      p.manyToOne(Image).mapToPk().primary().fieldName('image_id').deleteRule('cascade'),
    name: p.enum(VARIANT_NAMES).primary(),
    storageKey: p.string().length(200),
    width: p.integer(),
    height: p.integer(),
    bytes: p.integer(),
    format: p.string().length(10),
  },
});

/** What an upload brings. */
interface Upload {
  id: string;
  userId: string;
  storageKey: string;
  format: UploadFormat;
  bytes: number;
  checksum: string;
  title: string | null;
  description: string | null;
  visibility: Visibility;
  requestId: string | undefined;
}

export class Image extends ImageSchema.class implements WorkRow {
  constructor(upload: Upload) {
    super();
    this.id = upload.id;
    this.userId = upload.userId;
    this.type = 'UPLOADED';
    this.status = 'PENDING';
    this.title = upload.title;
    this.description = upload.description;
    this.visibility = upload.visibility;
    this.storageKey = upload.storageKey;
    this.metadata = {
      width: null,
      height: null,
      size: upload.bytes,
      format: upload.format.name,
      mimeType: upload.format.mimeType,
    };
    this.coinsUsed = 0;
    this.checksum = upload.checksum;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.attempts = 0;
    this.nextAttemptAt = dueIn(0);
    this.requestId = upload.requestId ?? null;
  }

  /** Begins an attempt to make the variants. */
  start(): void {
    this.expect('PENDING', 'PROCESSING');
    this.status = 'PROCESSING';
  }

  /** Ends the work with the variants, which are stored already. */
  complete({ width, height }: Pick<DecodeResult, 'width' | 'height'>): void {
    this.expect('PROCESSING');
    this.status = 'COMPLETED';
    this.metadata = { ...this.metadata, width, height };
  }

  fail(error: WorkError): void {
    this.expect('PENDING', 'PROCESSING');
    this.status = 'FAILED';
    this.errorCode = error.code;
    this.errorDetail = error.detail;
  }

  private expect(...allowed: ImageStatus[]): void {
    if (!allowed.includes(this.status)) {
      throw new Error(`Image ${this.id} is ${this.status}, not ${allowed.join(' or ')}`);
    }
  }
}
ImageSchema.setClass(Image);

export class ImageVariant extends ImageVariantSchema.class {
  constructor(variant: {
    imageId: string;
    name: VariantName;
    storageKey: string;
    width: number;
    height: number;
    bytes: number;
  }) {
    super();
    this.imageId = variant.imageId;
    this.name = variant.name;
    this.storageKey = variant.storageKey;
    this.width = variant.width;
    this.height = variant.height;
    this.bytes = variant.bytes;
    this.format = 'webp';
  }
}
ImageVariantSchema.setClass(ImageVariant);
