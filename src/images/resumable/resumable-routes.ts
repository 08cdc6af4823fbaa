import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiHeader } from '../../core/openapi/openapi-decorators.js';
import {
  notFound,
  payloadTooLarge,
  unsupportedMediaType,
  validationFailed,
} from '../../core/problems/problem.js';
import { containerProblems, quotaExceeded, tooManyUploads } from '../images.problems.js';
import { IMAGE_ID_HEADER, OFFSET_STREAM, TUS_VERSION } from './resumable-protocol.js';
import type { UploadProgress } from './resumable-reception.js';
import type { BegunUpload } from './resumable-uploads.service.js';
import { tusVersion, uploadLocked, uploadOffsetMismatch } from './resumable.problems.js';
import { discardBody } from '../upload/upload-form.js';

/** What the routes of resumable uploads have in common, in the document and in answers. */

export const UPLOADS = 'api/v1/images/uploads';
export const PROTOCOL = 'tus resumable upload protocol 1.0.0';

/** What every route of the protocol answers with, and what those take that read a part of a file. */
export const TUS_ROUTE = { headers: { 'tus-resumable': TUS_VERSION } };
export const TUS_STREAM_ROUTE = { ...TUS_ROUTE, streams: OFFSET_STREAM } as const;

export const TusHeader = ApiHeader({
  name: 'Tus-Resumable',
  required: true,
  schema: { enum: ['1.0.0'] },
});
export const OFFSET_HEADER = {
  name: 'Upload-Offset',
  required: true,
  description: 'How many bytes have arrived, as the last answer told.',
  schema: { type: 'integer', minimum: 0 },
} as const;

export const PROGRESS_HEADERS = {
  'upload-offset': 'How many bytes have arrived.',
  'upload-expires': 'Until when the upload can be continued.',
  [IMAGE_ID_HEADER]: 'The image that the file became, once the last byte has arrived.',
  'content-location': 'The address of that image.',
};

export const APPEND_PROBLEMS = [
  ...Object.values(containerProblems),
  notFound,
  payloadTooLarge,
  quotaExceeded,
  tooManyUploads,
  tusVersion,
  unsupportedMediaType,
  uploadLocked,
  uploadOffsetMismatch,
  validationFailed,
];

/** Lets the client of a refused body get to read why. */
export async function reading<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    discardBody(request);
    throw error;
  }
}

/** {@link answerProgress}, and where the upload is to be continued. */
export function answerBegun(
  request: FastifyRequest,
  reply: FastifyReply,
  begun: BegunUpload,
): void {
  void reply.header('location', `/${UPLOADS}/${begun.upload.id}`);
  if (begun.replayed) void reply.header('idempotency-replayed', 'true');
  answerProgress(request, reply, begun);
}

/**
 * Tells in the headers how far an upload has come: when it will expire, or which image it became.
 * When the body was not read to its end the connection ends with the answer.
 */
export function answerProgress(
  request: FastifyRequest,
  reply: FastifyReply,
  { upload, offset, isCutShort }: UploadProgress,
): void {
  void reply.header('upload-offset', offset);
  if (upload.imageId != null) {
    void reply.header(IMAGE_ID_HEADER, upload.imageId);
    void reply.header('content-location', `/api/v1/images/${upload.imageId}`);
  } else {
    void reply.header('upload-expires', upload.expiresAt.toUTCString());
  }
  if (isCutShort) {
    void reply.header('connection', 'close');
    discardBody(request);
  }
}
