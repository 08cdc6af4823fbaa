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
 * What GET tells.
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
    const [, start, end, size] = (CONTENT_RANGE.exec(answer.ContentRange ?? '') ?? []).map(Number);
    const isPart = start !== undefined && end !== undefined;
    const bytes = isPart ? size : answer.ContentLength;
    const head = headOf(key, bytes, answer.ContentType, answer.LastModified);
    const carried = isPart ? { start, end } : undefined;
    if (range) requireRange(key, head.bytes, range, carried);
    return { ...head, range: carried, body, etag: answer.ETag };
  } catch (error) {
    body.destroy();
    throw error;
  }
}

/** Some stores answer a range of an empty object with the object, and others with 416. */
function requireRange(key: string, bytes: number, asked: AskedRange, carried?: ByteRange): void {
  const { start, end } = resolveRange(key, bytes, asked);
  if (carried?.start !== start || carried.end !== end) throw incomplete();
}

function incomplete(): StoreFault {
  return new StoreFault('IncompleteAnswer');
}
