import { z } from 'zod';
import { imageError } from '../image.schema.js';
import type { UploadProgress } from './resumable-reception.js';

/** How a resumable upload stands. */
export const resumableUploadSchema = z
  .object({
    id: z.uuid(),
    bytes: z.int().min(0).describe('Of the whole file.'),
    offset: z.int().min(0).describe('How many of them have arrived.'),
    imageId: z.uuid().nullable().describe('The image that it became.'),
    error: imageError.nullable().describe('Why the whole file was refused.'),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'ResumableUpload' });

export type ResumableUploadAnswer = z.output<typeof resumableUploadSchema>;

/** What clients see of an upload. The file's metadata, as announced, is only in the answer to HEAD. */
export function presentUpload({ upload, offset }: UploadProgress): ResumableUploadAnswer {
  const { id, bytes, imageId, errorCode, errorDetail, expiresAt } = upload;
  return {
    id,
    bytes,
    offset,
    imageId: imageId ?? null,
    error: errorCode == null ? null : { code: errorCode, detail: errorDetail ?? '' },
    expiresAt: expiresAt.toISOString(),
  };
}
