import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../../auth/user.entity.js';
import type { UploadFields } from '../image.schema.js';

const ResumableUploadSchema = defineEntity({
  name: 'ResumableUpload',
  tableName: 'resumable_uploads',
  comment: 'Uploads by the tus protocol, from their announcement until they are images',
  properties: {
    id: p.uuid().primary(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').deleteRule('cascade'),
    /** How many bytes the whole file has, as announced. */
    bytes: p.bigint('number'),
    fields: p.json<UploadFields>(),
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

export class ResumableUpload extends ResumableUploadSchema.class {}
ResumableUploadSchema.setClass(ResumableUpload);
