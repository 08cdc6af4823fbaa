import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { notFound, Problem } from '../../core/problems/problem.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { mayCutRange, type Validators, weighConditions } from './conditions.js';
import { parseRange } from './range-header.js';
import { type Lifetime, redirectHeaders, redirectOf } from './redirect.js';
import { preconditionFailed, rangeNotSatisfiable } from '../storage.problems.js';
import {
  type AskedRange,
  ObjectNotFound,
  RangeNotSatisfiable,
  type Storage,
  type StoredObject,
} from '../storage.js';
import { contentTypeOf, inlineAs } from '../storage-key.js';

/** A stored file, and how clients and caches are to take it. */
export interface ServedFile extends Validators {
  storage: Storage;
  key: string;
  /** Its size by its row, or by what the store told before: it has no other. */
  bytes: number;
  cacheControl: string;
  /** For who saves the file. Other characters than letters, digits and `-._` become `_`. */
  fileName: string;
  /** For how long clients may be sent to the store for it; without it they are not. */
  direct?: Lifetime;
  /** Whether anyone may see it, now: then the store's public address will do, where it has one. */
  isPublic?: boolean;
  /** The request headers by which the caller chose this file, if any: `Accept`. */
  vary?: string;
}

/**
 * A file opened as a page loads and runs nothing, whatever hides in it. The style is the browser's
 * own, by which it centres a picture.
 */
const FILE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/**
 * Answers a GET or HEAD with a stored file: whole, a range of it, or 304 for who has it already; or
 * sends the client to the store, where that is to serve its files itself.
 *
 * The file is opened only when bytes of it go out, and closed when the client goes away. Conditions
 * are weighed by what the caller says of the file, so 304 and 412 do not ask the store at all.
 *
 * @throws Problem `not-found`, `precondition-failed`, `range-not-satisfiable`
 * @throws Unavailable when the store has it in another size
 */
export async function sendStoredFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: ServedFile,
): Promise<void> {
  const verdict = weighConditions(request.headers, file);
  if (verdict === 'precondition-failed') throw new Problem(preconditionFailed);
  const redirect = verdict === 'proceed' ? await redirectOf(request, file) : undefined;
  if (verdict === 'not-modified') {
    setCacheHeaders(reply.code(304), file);
    await sendNothing(request, reply);
  } else if (redirect !== undefined) {
    redirectHeaders(reply, redirect, file);
    setVary(reply, file);
    await sendNothing(request, reply);
  } else if (request.method === 'HEAD') {
    requireSize(file, await orProblem(file.storage.head(file.key)));
    setFileHeaders(reply, file, file.bytes);
    await sendNothing(request, reply);
  } else {
    const object = await open(file, rangeOf(request, file));
    setFileHeaders(reply, file, bytesIn(object));
    if (object.range) {
      const { start, end } = object.range;
      void reply.code(206).header('content-range', `bytes ${start}-${end}/${object.bytes}`);
    }
    await reply.send(object.stream);
  }
}

function rangeOf({ headers }: FastifyRequest, file: ServedFile): AskedRange | undefined {
  return mayCutRange(headers, file) ? parseRange(headers.range) : undefined;
}

async function open(file: ServedFile, range?: AskedRange): Promise<StoredObject> {
  const object = await orProblem(
    file.storage.get(file.key, { range }).catch((error: unknown) => {
      if (error instanceof RangeNotSatisfiable) requireSize(file, error);
      throw error;
    }),
  );
  try {
    requireSize(file, object);
  } catch (error) {
    object.stream.destroy();
    throw error;
  }
  return object;
}

/** Caches and clients would take a file that was cut off, or is another one, for the whole. */
function requireSize({ bytes }: ServedFile, stored: { bytes: number }): void {
  if (stored.bytes === bytes) return;
  const sizes = `${stored.bytes} bytes instead of ${bytes}`;
  throw new Unavailable(`The store has a file in another size: ${sizes}`, 'WrongSize');
}

/** What a store refuses, as problems. Nothing of the file may be in the reply's headers yet. */
export async function orProblem<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ObjectNotFound) throw new Problem(notFound, undefined, { cause: error });
    if (error instanceof RangeNotSatisfiable) {
      const headers = { 'content-range': `bytes */${error.bytes}` };
      throw new Problem(rangeNotSatisfiable, undefined, { cause: error, headers });
    }
    throw error;
  }
}

function bytesIn({ range, bytes }: StoredObject): number {
  return range ? range.end - range.start + 1 : bytes;
}

/** What RFC 9110 section 15.4.5 wants in a 304 as well. */
function setCacheHeaders(reply: FastifyReply, file: ServedFile): void {
  void reply.headers({
    etag: file.etag,
    'last-modified': file.lastModified.toUTCString(),
    'cache-control': file.cacheControl,
  });
  setVary(reply, file);
}

function setVary(reply: FastifyReply, file: ServedFile): void {
  if (file.vary === undefined) return;
  // CORS has named `Origin` there already.
  const others = reply.getHeader('vary');
  void reply.header('vary', others === undefined ? file.vary : `${String(others)}, ${file.vary}`);
}

/** @param bytes how many of them go out, or would in answer to a GET */
function setFileHeaders(reply: FastifyReply, file: ServedFile, bytes: number): void {
  setCacheHeaders(reply, file);
  void reply.headers({
    'content-type': contentTypeOf(file.key),
    'content-length': bytes,
    'content-disposition': inlineAs(file.fileName),
    'content-security-policy': FILE_POLICY,
    'accept-ranges': 'bytes',
  });
}

/**
 * Ends an answer without a body. To a HEAD, Fastify leaves `Content-Length` alone only when the
 * payload is a stream; for none it would write 0, which a 304 may not say of a larger file.
 */
async function sendNothing(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  await (request.method === 'HEAD' ? reply.send(Readable.from([])) : reply.send());
}
