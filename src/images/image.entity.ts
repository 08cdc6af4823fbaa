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
import { imageKey } from '../storage/storage-key.js';
import type { PictureFacts } from './containers/container.js';
import type { Provenance } from './generated/provenance.js';
import { type ImageMetadata, metadataOf } from './image-metadata.js';

export const IMAGE_TYPES = ['UPLOADED', 'GENERATED'] as const;
export const IMAGE_STATUSES = ['PENDING', 'PROCESSING', 'COMPLETED', 'FAILED'] as const;
export const VISIBILITIES = ['private', 'public'] as const;

export type ImageType = (typeof IMAGE_TYPES)[number];
export type ImageStatus = (typeof IMAGE_STATUSES)[number];
export type Visibility = (typeof VISIBILITIES)[number];

/** The error of an image whose files are gone from storage. */
export const FILE_MISSING = 'file-missing';

/** In SQL, over `images`: it is to be generated, and was not yet; see {@link Image.isUnmade}. */
export const UNMADE = `(type = 'GENERATED' and version = 0)`;

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
    /**
     * Where the picture is decoded from: the upload at first, then its original without metadata. Its
     * folder is that of all files of the image. While a picture is yet to be generated, nothing lies here.
     */
    storageKey: p.string().length(200),
    /** That of its files: of the attempt that made them. 0 when none did. Part of their keys and links. */
    version: p.integer().default(0),
    /** The last version that an attempt was given: none is given twice, so no key is. */
    lastVersion: p.integer().default(0),
    /** What the files of the image take in storage. */
    storedBytes: p.bigint('number'),
    /** Null while the picture is yet to be generated. */
    metadata: p.json<ImageMetadata>().nullable(),
    /** Which model made a generated picture; null until it has. */
    provenance: p.json<Provenance>().nullable(),
    coinsUsed: p.bigint('number').default(0),
    /** SHA-256 of the upload, or of what the model sent, in hex; null as long as there is neither. */
    checksum: p.string().length(64).nullable(),
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
      // A picture that is yet to be generated is work of others: of whoever asks the model.
      expression: `(status in ('PENDING', 'PROCESSING') and not ${UNMADE}) = (next_attempt_at is not null)`,
    },
    {
      name: 'images_failed_has_error',
      expression: `status <> 'FAILED' or error_code is not null`,
    },
    {
      name: 'images_completed_was_made',
      expression: `status <> 'COMPLETED' or version > 0`,
    },
    {
      name: 'images_made_is_known',
      expression: `${UNMADE} or (metadata is not null and checksum is not null)`,
    },
    {
      name: 'images_generated_has_provenance',
      expression: `(type = 'GENERATED' and version > 0) = (provenance is not null)`,
    },
  ],
});

/** What every image begins with. */
interface Beginning {
  id: string;
  userId: string;
  title: string | null;
  description: string | null;
  visibility: Visibility;
  requestId: string | undefined;
  traceParent?: string | undefined;
}

/** What an upload brings. */
interface Upload extends Beginning {
  storageKey: string;
  facts: PictureFacts;
  bytes: number;
  checksum: string;
}

/** A picture that a model is to make. */
interface WantedPicture extends Beginning {
  prompt: string;
}

/** What a model sent, and what was paid for it. */
interface Reply {
  facts: PictureFacts;
  bytes: number;
  checksum: string;
  provenance: Provenance;
  coins: number;
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
 * that what is unfinished is due or yet to be generated, what FAILED has an error, and what is
 * COMPLETED has files.
 */
export class Image extends ImageSchema.class implements WorkRow {
  /** Use the factories: {@link Image.uploaded}, {@link Image.wanted}. */
  constructor(type: ImageType, storageKey: string, beginning: Beginning) {
    super();
    this.id = beginning.id;
    this.userId = beginning.userId;
    this.type = type;
    this.status = 'PENDING';
    this.title = beginning.title;
    this.description = beginning.description;
    this.visibility = beginning.visibility;
    this.storageKey = storageKey;
    this.version = 0;
    this.lastVersion = 0;
    this.storedBytes = 0;
    this.coinsUsed = 0;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.attempts = 0;
    this.requestId = beginning.requestId ?? null;
    this.traceParent = beginning.traceParent ?? null;
  }

  /** Of a file that is stored: due to be converted. */
  static uploaded(upload: Upload): Image {
    const image = new Image('UPLOADED', upload.storageKey, upload);
    image.storedBytes = upload.bytes;
    image.metadata = metadataOf(upload.facts, upload.bytes);
    image.checksum = upload.checksum;
    image.nextAttemptAt = dueIn(0);
    return image;
  }

  /** Of a picture that a model is to make: it has a folder, and no file. */
  static wanted(picture: WantedPicture): Image {
    const { id: imageId, userId } = picture;
    const parts = { userId, epochMs: Date.now(), imageId, variant: 'unmade', ext: 'none' };
    const image = new Image('GENERATED', imageKey(parts), picture);
    image.prompt = picture.prompt;
    return image;
  }

  /** Begins an attempt to make the files, as a version that no other attempt has. */
  start(): void {
    this.expect('PENDING', 'PROCESSING');
    this.status = 'PROCESSING';
    this.lastVersion = Math.max(this.lastVersion, this.version) + 1;
  }

  /** Takes down what a model sent for a picture that was yet to be generated. */
  receive({ facts, bytes, checksum, provenance, coins }: Reply): void {
    this.expect('PROCESSING');
    if (!this.isUnmade) throw new Error(`Image ${this.id} is not to be generated`);
    this.metadata = metadataOf(facts, bytes);
    this.checksum = checksum;
    this.provenance = provenance;
    this.coinsUsed = coins;
  }

  /** Ends the work with a new version of the files, which are stored already. */
  complete({ width, height, frames, hasAlpha, ...made }: MadeImage): void {
    this.expect('PROCESSING');
    if (!this.metadata) throw new Error(`Image ${this.id} is made of nothing`);
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
   * Has the files of a finished image made anew; one that is being made stays as it is, and so does
   * one that was never generated, as there is nothing to make it of. That files are lost is remembered
   * until all of them have been made.
   */
  revive(): void {
    if (this.isUnmade) return;
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

  /** Whether it is to be generated, and was not yet: it has no file, and is no work of conversions. */
  get isUnmade(): boolean {
    return this.type === 'GENERATED' && this.version === 0;
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
