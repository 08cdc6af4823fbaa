import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { Problem, unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { parseOrRefuse } from '../../core/http/validation.js';
import { z } from 'zod';
import { emptyFile } from '../images.problems.js';
import { uploadFieldsSchema } from '../image.schema.js';
import { tooLarge } from '../upload/incoming-file.js';
import type { AnnouncedFields } from './resumable-upload.entity.js';
import { tusVersion } from './resumable.problems.js';

/** The headers of the tus resumable upload protocol 1.0.0: https://tus.io/protocols/resumable-upload */

export const TUS_VERSION = '1.0.0';
export const TUS_EXTENSIONS = 'creation,creation-with-upload,expiration,termination';
/** The content type of a part of a file. */
export const OFFSET_STREAM = 'application/offset+octet-stream';

/** The image that an upload became, in the answers that tell its offset. */
export const IMAGE_ID_HEADER = 'atelier-image-id';

/** Answer headers that scripts of other origins need to see. */
export const TUS_HEADERS = [
  IMAGE_ID_HEADER,
  'content-location',
  'tus-extension',
  'tus-max-size',
  'tus-resumable',
  'tus-version',
  'upload-expires',
  'upload-length',
  'upload-metadata',
  'upload-offset',
];

const METADATA = 'upload-metadata';
const OVERRIDE = 'x-http-method-override';
/** Whole, and exact as a JavaScript number. */
const WHOLE_NUMBER = /^\d{1,15}$/;
/** The keys that clients set by themselves; the bytes of the file tell its type, and no name is kept. */
const IGNORED_KEYS = new Set(['filename', 'filetype', 'name', 'type', 'relativePath']);

const metadataSchema = uploadFieldsSchema.extend({ force: z.stringbool().default(false) });

/** What a client says of a file before it sends it. */
export interface Announcement {
  bytes: number;
  fields: AnnouncedFields;
  idempotencyKey: string | undefined;
}

/**
 * What a request that creates an upload says of its file.
 *
 * @param maxBytes the most that a file may have
 * @param asked what the request says outside of the headers of the protocol
 * @throws Problem `tus-version` before anything else, as the protocol wants it; then those of the length
 * and of the metadata
 */
export function announcementOf(
  headers: IncomingHttpHeaders,
  maxBytes: number,
  { force, idempotencyKey }: { force: boolean; idempotencyKey: string | undefined },
): Announcement {
  requireProtocol(headers);
  const bytes = uploadLengthOf(headers, maxBytes);
  return { bytes, fields: announcedFieldsOf(headers, force), idempotencyKey };
}

/** The request itself when its body is the first part of the file; other bodies mean nothing. */
export function firstPartOf(request: FastifyRequest): FastifyRequest | undefined {
  return isOffsetStream(request.headers) ? request : undefined;
}

/** @throws Problem `tus-version` when the client speaks none, or another */
export function requireProtocol(headers: IncomingHttpHeaders): void {
  if (headers['tus-resumable'] === TUS_VERSION) return;
  throw new Problem(tusVersion, undefined, { headers: { 'tus-version': TUS_VERSION } });
}

/** @throws Problem `unsupported-media-type` */
export function requireOffsetStream(headers: IncomingHttpHeaders): void {
  if (!isOffsetStream(headers)) {
    throw new Problem(unsupportedMediaType, `The content type must be ${OFFSET_STREAM}.`);
  }
}

/** Whether the body is a part of a file. */
function isOffsetStream(headers: IncomingHttpHeaders): boolean {
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  return type.trim().toLowerCase() === OFFSET_STREAM;
}

/**
 * What a client that can only send POST means.
 *
 * @throws Problem `validation-failed`
 */
export function overrideOf(headers: IncomingHttpHeaders): 'PATCH' | 'DELETE' {
  const method = String(headers[OVERRIDE] ?? '').toUpperCase();
  if (method === 'PATCH' || method === 'DELETE') return method;
  throw headerProblem(OVERRIDE, 'must be PATCH or DELETE');
}

/** @throws Problem `validation-failed` when the header is missing or is no number */
export function uploadOffsetOf(headers: IncomingHttpHeaders): number {
  return numberOf(headers, 'upload-offset');
}

/**
 * How many bytes the file will have.
 *
 * @throws Problem `validation-failed`, also for the extensions that are not there; `file-too-large`,
 * `empty-file`
 */
function uploadLengthOf(headers: IncomingHttpHeaders, maxBytes: number): number {
  for (const name of ['upload-defer-length', 'upload-concat']) {
    if (headers[name] !== undefined) throw headerProblem(name, 'is not supported');
  }
  const length = numberOf(headers, 'upload-length');
  if (length > maxBytes) throw tooLarge({ maxBytes });
  if (length === 0) throw new Problem(emptyFile);
  return length;
}

/**
 * What `Upload-Metadata` says of the image to be.
 *
 * @throws Problem `validation-failed` when it is not what the protocol says, or its fields are not
 * those of an upload
 */
function announcedFieldsOf(headers: IncomingHttpHeaders, force: boolean): AnnouncedFields {
  const header = headers[METADATA];
  const metadata = typeof header === 'string' ? header : null;
  const given = Object.fromEntries(
    pairsOf(metadata ?? '').filter(([key]) => !IGNORED_KEYS.has(key)),
  );
  const fields = parseOrRefuse(metadataSchema, given, 'metadata');
  return { ...fields, force: fields.force || force, metadata };
}

/** `key base64,key base64,key`: a key without a value stands for an empty one. */
function pairsOf(metadata: string): [string, string][] {
  if (metadata.trim() === '') return [];
  const pairs = metadata.split(',').map((pair): [string, string] => {
    const [key = '', value = '', ...more] = pair.trim().split(' ');
    const bytes = Buffer.from(value, 'base64');
    const isBase64 = bytes.toString('base64') === value;
    if (key === '' || more.length > 0 || !isBase64)
      throw headerProblem(METADATA, 'is not well-formed');
    return [key, bytes.toString('utf8')];
  });
  if (new Set(pairs.map(([key]) => key)).size < pairs.length)
    throw headerProblem(METADATA, 'repeats a key');
  return pairs;
}

function headerProblem(name: string, message: string): Problem {
  const path = `headers.${name}`;
  return new Problem(validationFailed, `${path} ${message}`, { errors: [{ path, message }] });
}

function numberOf(headers: IncomingHttpHeaders, name: string): number {
  const value = headers[name];
  if (typeof value !== 'string' || !WHOLE_NUMBER.test(value)) {
    throw headerProblem(name, 'must be a number of bytes');
  }
  return Number(value);
}
