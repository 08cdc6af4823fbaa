import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { StoreFault } from './s3-client.js';
import {
  type AskedRange,
  type ByteRange,
  type ObjectHead,
  resolveRange,
  type StoredObject,
} from '../storage.js';
import { contentTypeOf } from '../storage-key.js';

const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

/** A `Range` header; undefined for what is no range of any object. */
export function rangeHeader(asked: AskedRange): string | undefined {
  if ('last' in asked) return asked.last > 0 ? `bytes=-${asked.last}` : undefined;
  const { start, end } = asked;
  const isRange = Number.isInteger(start) && start >= 0;
  if (end === undefined) return isRange ? `bytes=${start}-` : undefined;
  return isRange && Number.isInteger(end) && end >= start ? `bytes=${start}-${end}` : undefined;
}

/** What HEAD tells. @throws StoreFault when it leaves out what every store tells */
export function headOf(
  key: string,
  bytes: number | undefined,
  contentType = contentTypeOf(key),
  lastModified: Date | undefined,
): ObjectHead {
  if (bytes === undefined || lastModified === undefined) throw incomplete();
  return { bytes, contentType, lastModified };
}

/**
 * What GET tells, when it can be so: what a store claims decides how many bytes go out, and under
 * which headers.
 *
 * @param range what was asked for
 * @throws RangeNotSatisfiable, StoreFault
 */
export function describeAnswer(
  key: string,
  answer: GetObjectCommandOutput,
  range?: AskedRange,
): Omit<StoredObject, 'stream'> & { body: Readable; etag: string | undefined } {
  const body = answer.Body as Readable | undefined;
  if (!body) throw incomplete();
  try {
    const part = partOf(answer);
    const bytes = part?.bytes ?? answer.ContentLength;
    const head = headOf(key, bytes, answer.ContentType, answer.LastModified);
    requireRange(key, head.bytes, range, part?.carried);
    return { ...head, range: part?.carried, body, etag: answer.ETag };
  } catch (error) {
    body.destroy();
    throw error;
  }
}

/**
 * Which part of an object an answer carries, and the size of the whole; undefined when it says
 * nothing of parts. RFC 9110 section 14.4.
 *
 * @throws StoreFault for what is no part of any object, or not as long as the answer
 */
function partOf({ ContentRange, ContentLength }: GetObjectCommandOutput) {
  if (ContentRange === undefined) return undefined;
  const [, start = NaN, end = NaN, bytes = NaN] = (CONTENT_RANGE.exec(ContentRange) ?? []).map(
    Number,
  );
  const isPart = Number.isSafeInteger(bytes) && start <= end && end < bytes;
  const length = end - start + 1;
  if (!isPart || (ContentLength ?? length) !== length) throw incomplete();
  return { carried: { start, end }, bytes };
}

/**
 * Whoever asked for no range would be told of one. Some stores answer a range of an empty object
 * with the object, and others with 416.
 */
function requireRange(key: string, bytes: number, asked?: AskedRange, carried?: ByteRange): void {
  const due = asked && resolveRange(key, bytes, asked);
  if (carried?.start !== due?.start || carried?.end !== due?.end) throw incomplete();
}

/**
 * Where a list goes on.
 *
 * @param next where the store says that it does
 * @param last where this page began
 * @returns undefined at the end of the list
 * @throws StoreFault when there is more, and the way there is missing or leads back here, for ever
 */
export function nextPlace<Place extends Record<string, string | undefined>>(
  isTruncated: boolean | undefined,
  next: Place,
  last: Partial<Place>,
): Place | undefined {
  if (!isTruncated) return undefined;
  const names = Object.keys(next);
  if (names.every((name) => next[name] === last[name])) throw incomplete();
  return next;
}

function incomplete(): StoreFault {
  return new StoreFault('IncompleteAnswer');
}
