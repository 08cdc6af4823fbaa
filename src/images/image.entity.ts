import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../auth/users/user.entity.js';
import {
  dueIn,
  renewWork,
  workColumns,
  type WorkError,
  workIndexes,
  type WorkRow,
} from '../queue/work-row.js';
import { CONTAINER_FORMATS, type FormatName, type PictureFacts } from './containers/container.js';

export const IMAGE_TYPES = ['UPLOADED', 'GENERATED'] as const;
export const IMAGE_STATUSES = ['PENDING', 'PROCESSING', 'COMPLETED', 'FAILED'] as const;
export const VISIBILITIES = ['private', 'public'] as const;

export type ImageType = (typeof IMAGE_TYPES)[number];
export type ImageStatus = (typeof IMAGE_STATUSES)[number];
export type Visibility = (typeof VISIBILITIES)[number];

/** The error of an image whose files are gone from storage. */
export const FILE_MISSING = 'file-missing';

/** What is known of a picture: most of it from the structure of its file, at once. */
export interface ImageMetadata {
  /** Upright, in pixels. */
  width: number;
  height: number;
  /** Of the upload, in bytes. */
  size: number;
  /** The type of the upload, by its bytes. */
  format: FormatName;
  mimeType: string;
  /** 1 for a still picture. */
  frames: number;
  /** JPEG alone: decoding it takes more memory. */
  progressive: boolean;
  /** Null until it has been decoded. */
  hasAlpha: boolean | null;
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
    /** Where the picture is decoded from: the upload at first, then its original without metadata. */
    storageKey: p.string().length(200),
    /** That of its files: of the attempt that made them. 0 when none did. Part of their keys and links. */
    version: p.integer().default(0),
    /** The last version that an attempt was given: none is given twice, so no key is. */
    lastVersion: p.integer().default(0),
    /** What the files of the image take in storage. */
    storedBytes: p.bigint('number'),
    metadata: p.json<ImageMetadata>(),
    coinsUsed: p.bigint('number').default(0),
    /** SHA-256 of the upload, in hex. */
    checksum: p.string().length(64),
    /** A ThumbHash, in base64. */
    placeholder: p.string().length(100).nullable(),
    /** `#rrggbb` */
    dominantColor: p.string().length(7).nullable(),
    errorCode: p.string().length(100).nullable(),
    errorDetail: p.text().nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
    ...workColumns,
  },
  indexes: [
    { properties: ['userId', 'createdAt', 'id'] },
    { properties: ['userId', 'checksum'] },
    ...workIndexes('images', 'user_id'),
  ],
  checks: [
    {
      name: 'images_unfinished_is_work',
      expression: `(status in ('PENDING', 'PROCESSING')) = (next_attempt_at is not null)`,
    },
    {
      name: 'images_failed_has_error',
      expression: `status <> 'FAILED' or error_code is not null`,
    },
    {
      name: 'images_completed_was_made',
      expression: `status <> 'COMPLETED' or version > 0`,
    },
  ],
});

/** What an upload brings. */
interface Upload {
  id: string;
  userId: string;
  storageKey: string;
  facts: PictureFacts;
  bytes: number;
  checksum: string;
  title: string | null;
  description: string | null;
  visibility: Visibility;
  requestId: string | undefined;
  traceParent?: string | undefined;
}

/** What a conversion made; its files are stored already. */
interface MadeImage {
  version: number;
  /** The key of the original without metadata. */
  storageKey: string;
  /** What all files take together. */
  storedBytes: number;
  width: number;
  height: number;
  frames: number;
  hasAlpha: boolean;
  placeholder: string;
  dominantColor: string;
}

/**
 * A picture and the work on it. The status changes by these methods alone; the database's checks hold
 * that what is unfinished is due, what FAILED has an error, and what is COMPLETED has files.
 */
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
    this.version = 0;
    this.lastVersion = 0;
    this.storedBytes = upload.bytes;
    this.metadata = metadataOf(upload.facts, upload.bytes);
    this.coinsUsed = 0;
    this.checksum = upload.checksum;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.attempts = 0;
    this.nextAttemptAt = dueIn(0);
    this.requestId = upload.requestId ?? null;
    this.traceParent = upload.traceParent ?? null;
  }

  /** Begins an attempt to make the files, as a version that no other attempt has. */
  start(): void {
    this.expect('PENDING', 'PROCESSING');
    this.status = 'PROCESSING';
    this.lastVersion = Math.max(this.lastVersion, this.version) + 1;
  }

  /** Ends the work with a new version of the files, which are stored already. */
  complete({ width, height, frames, hasAlpha, ...made }: MadeImage): void {
    this.expect('PROCESSING');
    this.status = 'COMPLETED';
    this.metadata = { ...this.metadata, width, height, frames, hasAlpha };
    this.version = made.version;
    this.storageKey = made.storageKey;
    this.storedBytes = made.storedBytes;
    this.placeholder = made.placeholder;
    this.dominantColor = made.dominantColor;
    this.errorCode = null;
    this.errorDetail = null;
  }

  /**
   * Ends the work without success. What an earlier version made stays, and so does COMPLETED, unless
   * files of it are lost, or now the very file that it was made from.
   */
  fail(error: WorkError): void {
    this.expect('PENDING', 'PROCESSING');
    const isWhole = this.version > 0 && !this.isLost && error.code !== FILE_MISSING;
    this.status = isWhole ? 'COMPLETED' : 'FAILED';
    if (this.isLost) return;
    this.errorCode = error.code;
    this.errorDetail = error.detail;
  }

  /** Changes what its owner may say of it; what is left out stays. */
  change(changes: Partial<Pick<Image, 'title' | 'description' | 'visibility'>>): void {
    Object.assign(this, changes);
  }

  /**
   * Has the files of a finished image made anew; one that is being made stays as it is. That files
   * are lost is remembered until all of them have been made.
   */
  revive(): void {
    if (this.status !== 'COMPLETED' && this.status !== 'FAILED') return;
    this.status = 'PENDING';
    if (!this.isLost) {
      this.errorCode = null;
      this.errorDetail = null;
    }
    renewWork(this);
  }

  /** Says of a completed image that files of it are lost and cannot be made anew. */
  lose(detail: string): void {
    this.expect('COMPLETED');
    this.status = 'FAILED';
    this.errorCode = FILE_MISSING;
    this.errorDetail = detail;
  }

  /** Says of an image whose files were lost that all of them are there again. */
  restore(): void {
    this.expect('FAILED');
    this.status = 'COMPLETED';
    this.errorCode = null;
    this.errorDetail = null;
  }

  /** Whether files of it were found to be missing since they were made. */
  private get isLost(): boolean {
    return this.version > 0 && this.errorCode === FILE_MISSING;
  }

  private expect(...allowed: ImageStatus[]): void {
    if (!allowed.includes(this.status)) {
      throw new Error(`Image ${this.id} is ${this.status}, not ${allowed.join(' or ')}`);
    }
  }
}
ImageSchema.setClass(Image);

function metadataOf(facts: PictureFacts, bytes: number): ImageMetadata {
  const { format, frames, progressive } = facts;
  return {
    ...uprightSize(facts),
    size: bytes,
    format,
    mimeType: CONTAINER_FORMATS[format].mimeType,
    frames,
    progressive,
    hasAlpha: null,
  };
}

/** Orientations 5 to 8 lay the picture on its side: EXIF 2.32, tag 0x0112. */
function uprightSize({ width, height, orientation }: PictureFacts) {
  return orientation < 5 ? { width, height } : { width: height, height: width };
}
