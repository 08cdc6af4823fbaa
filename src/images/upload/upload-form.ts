import { createHash } from 'node:crypto';
import { finished, type Readable, Transform } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import {
  malformed,
  Problem,
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
    throw watch.signal.aborted ? (watch.signal.reason as Error) : asProblem(error, request);
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
  for await (const part of request.parts({ limits: { ...FORM_LIMITS, fileSize: Infinity } })) {
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
  const start = await peek(stream, SIGNATURE_BYTES);
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
    if (error) measure.destroy(error);
  });
  await store(format, stream.pipe(measure), signal);
  return { format, bytes, checksum: hash.digest('hex') };
}

/** The first bytes of a stream, which stay in it. Fewer only when the stream has no more. */
async function peek(stream: Readable, size: number): Promise<Buffer> {
  for (;;) {
    const start = stream.read(size) as Buffer | null;
    if (start) {
      if (start.length > 0) stream.unshift(start);
      return start;
    }
    if (stream.readableEnded) return Buffer.alloc(0);
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error | null): void => {
        stream.off('readable', settle).off('end', settle).off('error', settle);
        if (error) reject(error);
        else resolve();
      };
      stream.once('readable', settle).once('end', settle).once('error', settle);
    });
  }
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

function fieldProblem(name: string, message: string): Problem {
  return new Problem(validationFailed, `body.${name.slice(0, 100)} ${message}`, {
    errors: [{ path: `body.${name.slice(0, 100)}`, message }],
  });
}

function tooLarge({ maxBytes }: UploadLimits): Problem {
  return new Problem(fileTooLarge, `An upload may have at most ${maxBytes} bytes.`);
}

/** What the client did wrong becomes a problem; a fault of ours stays what it is. */
function asProblem(error: unknown, { raw }: FastifyRequest): unknown {
  if (error instanceof Problem) return error;
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'FST_PROTO_VIOLATION') return fieldProblem('__proto__', 'is not known here');
  // The parser tells the end of a form that has no end in these words alone.
  const isUnended = message === 'Unexpected end of multipart data';
  const hasLeft = raw.destroyed && !raw.complete;
  return isUnended || hasLeft
    ? new Problem(malformed, 'The upload broke off before its end.', { cause: error })
    : error;
}
