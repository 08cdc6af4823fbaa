import { createHash } from 'node:crypto';
import { finished, type Readable, Transform } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import {
  malformed,
  Problem,
  payloadTooLarge,
  requestTimeout,
  unsupportedMediaType,
  validationFailed,
} from '../../core/problem.js';
import { parseOrRefuse } from '../../core/validation.js';
import { type UploadFields, uploadFieldsSchema } from '../image.schema.js';
import { emptyFile, fileTooLarge, unsupportedType } from '../images.problems.js';
import { detectFormat, SIGNATURE_BYTES, type UploadFormat } from './upload-format.js';

/** What an upload form may hold: one file, and a few short fields around it. */
const FORM_LIMITS = { files: 2, fields: 20, parts: 22, fieldNameSize: 100, fieldSize: 20_000 };
const FILE_FIELDS = ['image', 'file'];
/** Boundaries, part headers and fields around the file, in bytes: beyond it a length is a lie. */
const FORM_OVERHEAD = 1024 * 1024;

/** How long a client may go on sending what has been refused already, in milliseconds. */
const DISCARD_MS = 5_000;

export interface UploadLimits {
  maxBytes: number;
  /** How long the client may send nothing, in milliseconds. */
  idleMs: number;
  /** How long the upload may take in all, in milliseconds. */
  totalMs: number;
}

/** Stores a file while it arrives. */
export type StoreFile = (
  format: UploadFormat,
  bytes: Readable,
  signal: AbortSignal,
) => Promise<void>;

export interface ReceivedUpload {
  fields: UploadFields;
  format: UploadFormat;
  bytes: number;
  /** SHA-256 in hex. */
  checksum: string;
}

type ReceivedFile = Omit<ReceivedUpload, 'fields'>;

/**
 * Receives a multipart form with one picture, in the field `image` or `file`. The file is never
 * held in memory: it is counted, hashed and handed to `store` while it streams.
 *
 * @throws Problem naming what is wrong with the request; what was stored is then the caller's to
 * remove
 */
export async function receiveUpload(
  request: FastifyRequest,
  limits: UploadLimits,
  store: StoreFile,
): Promise<ReceivedUpload> {
  if (!request.isMultipart()) throw new Problem(unsupportedMediaType);
  if (Number(request.headers['content-length'] ?? 0) > limits.maxBytes + FORM_OVERHEAD) {
    discardBody(request);
    throw tooLarge(limits);
  }
  const watch = watchProgress(request, limits);
  try {
    return await Promise.race([readForm(request, limits, store, watch.signal), watch.givenUp]);
  } catch (error) {
    discardBody(request);
    throw watch.signal.aborted ? (watch.signal.reason as Error) : error;
  } finally {
    watch.stop();
  }
}

async function readForm(
  request: FastifyRequest,
  limits: UploadLimits,
  store: StoreFile,
  signal: AbortSignal,
): Promise<ReceivedUpload> {
  const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  let file: ReceivedFile | undefined;
  for await (const part of partsOf(request)) {
    if (part.type === 'field') {
      refuseRepeated(fields, part.fieldname);
      fields[part.fieldname] = part.value;
      continue;
    }
    if (file || !FILE_FIELDS.includes(part.fieldname)) {
      throw fieldProblem(part.fieldname, 'is not the one file of an upload');
    }
    file = await receiveFile(part.file, limits, store, signal);
  }
  if (!file) throw fieldProblem('image', 'is missing: the picture goes there');
  return { ...file, fields: parseOrRefuse(uploadFieldsSchema, { ...fields }, 'body') };
}

async function receiveFile(
  stream: Readable,
  limits: UploadLimits,
  store: StoreFile,
  signal: AbortSignal,
): Promise<ReceivedFile> {
  const start = await takeStart(stream, SIGNATURE_BYTES);
  if (start.length === 0) throw new Problem(emptyFile);
  const format = detectFormat(start);
  if (!format) throw new Problem(unsupportedType);

  const hash = createHash('sha256');
  let bytes = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      hash.update(chunk);
      done(bytes > limits.maxBytes ? tooLarge(limits) : null, chunk);
    },
  });
  // pipe() passes no errors on: a file that breaks off must end the storing as well.
  finished(stream, (error) => {
    if (error) measure.destroy(brokenOff(error));
  });
  measure.write(start);
  await store(format, stream.pipe(measure), signal);
  return { format, bytes, checksum: hash.digest('hex') };
}

/**
 * Takes the first bytes out of a stream: at least `size`, and fewer only when there are no more.
 *
 * @throws Problem `malformed` when the stream breaks off before
 *
 * It reads whatever has come and never asks for a number of bytes: with fewer there, such a read
 * would be told at once, and for ever, that there is something to read.
 */
async function takeStart(stream: Readable, size: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < size && !stream.readableEnded && !stream.destroyed) {
    const chunk = stream.read() as Buffer | null;
    if (chunk) {
      chunks.push(chunk);
      length += chunk.length;
    } else {
      await somethingNew(stream);
    }
  }
  if (!stream.readableEnded && stream.destroyed) throw brokenOff(stream.errored);
  return Buffer.concat(chunks);
}

/** Settles when a stream has more to read, or never will have. */
function somethingNew(stream: Readable): Promise<void> {
  const events = ['readable', 'end', 'close', 'error'];
  return new Promise((resolve) => {
    const settle = (): void => {
      for (const event of events) stream.off(event, settle);
      resolve();
    };
    for (const event of events) stream.on(event, settle);
  });
}

/** Gives an upload up that stands still or goes on for too long. */
function watchProgress({ raw }: FastifyRequest, { idleMs, totalMs }: UploadLimits) {
  const controller = new AbortController();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const giveUp = (): void => {
    const problem = new Problem(requestTimeout, undefined, { headers: { connection: 'close' } });
    controller.abort(problem);
    reject(problem);
  };
  const idle = setTimeout(giveUp, idleMs);
  const total = setTimeout(giveUp, totalMs);
  const progress = (): void => void idle.refresh();
  raw.on('data', progress);
  return {
    /** Ends what is being stored. */
    signal: controller.signal,
    /** Rejects when the upload is given up. */
    givenUp,
    stop: () => {
      clearTimeout(idle);
      clearTimeout(total);
      raw.off('data', progress);
    },
  };
}

/** Lets the rest of a refused body run out for a while, so that the client gets to read the answer. */
function discardBody({ raw }: FastifyRequest): void {
  raw.unpipe();
  raw.resume();
  const timer = setTimeout(() => {
    raw.destroy();
  }, DISCARD_MS);
  raw.once('close', () => {
    clearTimeout(timer);
  });
}

function refuseRepeated(fields: Record<string, unknown>, name: string): void {
  if (name in fields) throw fieldProblem(name, 'is given twice');
}

/** @param name undefined for a part that has none */
function fieldProblem(name: string | undefined, message: string): Problem {
  const path = `body.${(name ?? '').slice(0, 100)}`;
  return new Problem(validationFailed, `${path} ${message}`, { errors: [{ path, message }] });
}

function tooLarge({ maxBytes }: UploadLimits): Problem {
  return new Problem(fileTooLarge, `An upload may have at most ${maxBytes} bytes.`);
}

/** The parts of the form. Whatever the parser cannot take is a problem of the request. */
async function* partsOf(request: FastifyRequest) {
  try {
    yield* request.parts({ limits: { ...FORM_LIMITS, fileSize: Infinity } });
  } catch (error) {
    throw asFormProblem(error);
  }
}

function asFormProblem(error: unknown): Problem {
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  if (code === 'FST_PROTO_VIOLATION') return fieldProblem('__proto__', 'is not known here');
  if (code === 'FST_INVALID_JSON_FIELD_ERROR') return fieldProblem('(form)', 'holds broken JSON');
  if (statusCode === payloadTooLarge.status) {
    return new Problem(payloadTooLarge, 'The form has too many parts.', { cause: error });
  }
  return brokenOff(error);
}

function brokenOff(cause: unknown): Problem {
  return new Problem(malformed, 'The form is not well-formed, or broke off before its end.', {
    cause,
  });
}
