import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../../auth/users/user.entity.js';
import { newId } from '../../core/ids.js';
import type { UploadFields } from '../image.schema.js';

/** What a client says of a file before it sends it. */
export interface AnnouncedFields extends UploadFields {
  /** Whether a file that the owner has uploaded before becomes another image all the same. */
  force: boolean;
  /** `Upload-Metadata` as it came, because HEAD must repeat it. */
  metadata: string | null;
}

const ResumableUploadSchema = defineEntity({
  name: 'ResumableUpload',
  tableName: 'resumable_uploads',
  comment: 'Uploads by the tus protocol, from their announcement until they are images',
  properties: {
    id: p.uuid().primary(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').deleteRule('cascade'),
    /** How many bytes the whole file has, as announced. */
    bytes: p.bigint('number'),
    fields: p.json<AnnouncedFields>(),
    /** The image that it became. No foreign key: it may be deleted again. */
    imageId: p.uuid().nullable(),
    /** Why the whole file was refused. */
    errorCode: p.string().length(100).nullable(),
    errorDetail: p.text().nullable(),
    leaseId: p.uuid().nullable(),
    leasedUntil: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3).index(),
  },
});

/** What is announced when an upload is created. */
interface Announcement {
  userId: string;
  bytes: number;
  fields: AnnouncedFields;
  /** How long it may be continued, in hours. */
  hours: number;
}

/**
 * What was announced, who holds the upload, and how it ended. How far it has come is not here: the
 * bytes that arrived tell that.
 */
export class ResumableUpload extends ResumableUploadSchema.class {
  constructor({ userId, bytes, fields, hours }: Announcement) {
    super();
    this.id = newId();
    this.userId = userId;
    this.bytes = bytes;
    this.fields = fields;
    this.createdAt = new Date();
    this.expiresAt = new Date(this.createdAt.getTime() + hours * 3_600_000);
  }

  /** Whether it became an image, or was refused: no byte more is taken. */
  get isSettled(): boolean {
    return this.imageId != null || this.errorCode != null;
  }
}
ResumableUploadSchema.setClass(ResumableUpload);
