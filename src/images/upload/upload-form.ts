import type { FastifyRequest } from 'fastify';
import { LEAST_BYTES } from '../../core/http/connection.js';
import {
  Problem,
  payloadTooLarge,
  requestTimeout,
  unsupportedMediaType,
  validationFailed,
} from '../../core/problems/problem.js';
import { parseOrRefuse } from '../../core/http/validation.js';
import { type UploadFields, uploadFieldsSchema } from '../image.schema.js';
import type { InspectedFile } from './file-inspection.js';
import {
  brokenOff,
  type FileLimits,
  receiveFile,
  type StoreFile,
  tooLarge,
} from './incoming-file.js';

/** What an upload form may hold: one file, and a few short fields around it. */
const FORM_LIMITS = { files: 2, fields: 20, parts: 22, fieldNameSize: 100, fieldSize: 20_000 };
const FILE_FIELDS = ['image', 'file'];
/**
 * Names that nobody gives a picture: paths, and those with characters that control or that turn
 * text around. Names are not used for anything.
 */
const HOSTILE_NAME = /[\p{Cc}\u202a-\u202e\u2066-\u2069/\\]|^\.{1,2}$/u;
/** As most file systems have it. */
const MAX_NAME_BYTES = 255;
/** Boundaries, part headers and fields around the file, in bytes: beyond it a length is a lie. */
const FORM_OVERHEAD = 1024 * 1024;

/** How long a client may go on sending what has been refused already, in milliseconds. */
const DISCARD_MS = 5_000;

/** What an upload is given to be read. */
export interface UploadTurn {
  /** Aborts when the upload has to make room for others, with the Problem to answer with. */
  displaced: AbortSignal;
  /** How long it has waited for its turn, in milliseconds, while its client may have sent some. */
  waitedMs: number;
}

interface ProgressLimits {
  /** How long each {@link LEAST_BYTES} may take, in milliseconds. */
  idleMs: number;
  /** How long the upload may take in all, in milliseconds. */
  totalMs: number;
  /** The turn that the upload has. */
  turn: UploadTurn;
}

export interface UploadLimits extends FileLimits, ProgressLimits {}

export interface ReceivedUpload extends InspectedFile {
  fields: UploadFields;
}

/**
 * Receives a multipart form with one picture, in the field `image` or `file`.
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
  let file: InspectedFile | undefined;
  for await (const part of partsOf(request)) {
    if (part.type === 'field') {
      refuseRepeated(fields, part.fieldname);
      fields[part.fieldname] = part.value;
      continue;
    }
    if (file || !FILE_FIELDS.includes(part.fieldname)) {
      throw fieldProblem(part.fieldname, 'is not the one file of an upload');
    }
    requireHarmlessName(part.fieldname, part.filename);
    file = await receiveFile(part.file, limits, (format, bytes) => store(format, bytes, signal));
  }
  if (!file) throw fieldProblem('image', 'is missing: the picture goes there');
  return { ...file, fields: parseOrRefuse(uploadFieldsSchema, { ...fields }, 'body') };
}

/**
 * Gives an upload up that comes too slowly, goes on for too long, has to make room, or whose
 * connection is gone.
 */
export function watchProgress({ raw }: FastifyRequest, limits: ProgressLimits) {
  const { displaced } = limits.turn;
  const controller = new AbortController();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const giveUp = (problem: Problem): void => {
    controller.abort(problem);
    reject(problem);
  };
  // The parser hears nothing of a connection that was gone before it began to read.
  const close = (): void => {
    if (!raw.readableEnded) giveUp(brokenOff(raw.errored));
  };
  const stopTimers = whenTooSlow(raw, limits, () => {
    giveUp(new Problem(requestTimeout, undefined, { headers: { connection: 'close' } }));
  });
  const makeRoom = (): void => {
    giveUp(displaced.reason as Problem);
  };
  raw.once('close', close);
  displaced.addEventListener('abort', makeRoom);
  if (raw.closed) close();
  else if (displaced.aborted) makeRoom();
  return {
    /** Ends what is being stored. */
    signal: controller.signal,
    /** Rejects when the upload is given up. */
    givenUp,
    stop: () => {
      stopTimers();
      raw.off('close', close);
      displaced.removeEventListener('abort', makeRoom);
    },
  };
}

/** @returns what ends the watch */
function whenTooSlow(
  raw: FastifyRequest['raw'],
  { idleMs, totalMs, turn }: ProgressLimits,
  timeOut: () => void,
): () => void {
  const idle = setTimeout(timeOut, idleMs);
  // The wait counts, or who sends nothing would be there for longer than anybody else.
  const first = setTimeout(timeOut, idleMs - turn.waitedMs);
  const total = setTimeout(timeOut, totalMs);
  // A byte now and then is no progress.
  let progress = 0;
  const count = ({ length }: Buffer): void => {
    progress += length;
    if (progress < LEAST_BYTES) return;
    progress = 0;
    clearTimeout(first);
    idle.refresh();
  };
  // Whoever has sent all is not to blame for what comes after.
  const rest = (): void => {
    clearTimeout(first);
    clearTimeout(idle);
  };
  raw.on('data', count);
  raw.once('end', rest);
  return () => {
    rest();
    clearTimeout(total);
    raw.off('data', count);
    raw.off('end', rest);
  };
}

/** Lets the rest of a refused body run out for a while, so that the client gets to read the answer. */
export function discardBody({ raw }: FastifyRequest): void {
  if (raw.readableEnded || raw.closed) return;
  raw.unpipe();
  raw.resume();
  const timer = setTimeout(() => {
    raw.destroy();
  }, DISCARD_MS).unref();
  for (const event of ['end', 'close']) {
    raw.once(event, () => {
      clearTimeout(timer);
    });
  }
}

/** @param name undefined for a file without a name, whatever the types say */
function requireHarmlessName(field: string, name: string | undefined): void {
  if (name === undefined) return;
  if (HOSTILE_NAME.test(name) || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw fieldProblem(field, 'has a file name that cannot be one');
  }
}

function refuseRepeated(fields: Record<string, unknown>, name: string): void {
  if (name in fields) throw fieldProblem(name, 'is given twice');
}

/** @param name undefined for a part that has none */
function fieldProblem(name: string | undefined, message: string): Problem {
  const path = `body.${(name ?? '').slice(0, 100)}`;
  return new Problem(validationFailed, `${path} ${message}`, { errors: [{ path, message }] });
}

/** The parts of the form. Whatever the parser cannot take is a problem of the request. */
async function* partsOf(request: FastifyRequest) {
  try {
    yield* request.parts({
      limits: { ...FORM_LIMITS, fileSize: Infinity },
      // Or the parser would hand on the last part of a path as if it were the name.
      preservePath: true,
    });
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
