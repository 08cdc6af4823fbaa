import { HeadBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Env } from '../../core/env.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { boundAnswers } from './s3-answer-bounds.js';

export type S3Settings = Pick<
  Env,
  | 'S3_BUCKET'
  | 'S3_ENDPOINT'
  | 'S3_REGION'
  | 'S3_ACCESS_KEY_ID'
  | 'S3_SECRET_ACCESS_KEY'
  | 'S3_SESSION_TOKEN'
  | 'S3_FORCE_PATH_STYLE'
>;

/** How long a connection may take to be made, a wait for a free one included. */
const CONNECT_MS = 3_000;
/**
 * How long one attempt at a call may take, from its first byte to the head of its answer. Three of
 * them end before an upload that stands still is given up, so that its client hears 503 and not 408.
 */
const ATTEMPT_MS = 8_000;
const ATTEMPTS = 3;
/** How long a connection may be silent while an object comes, or its reader does not take it. */
const SILENCE_MS = 30_000;
/** One for each file that is being sent: slow readers must not keep others waiting. */
const MAX_SOCKETS = 512;

/** The names of errors that no store is to blame for. */
const MISTAKES = new Set(['TypeError', 'RangeError', 'ReferenceError']);

const QUIET = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/**
 * A client with limits of time and memory for all that it does, for R2, MinIO and AWS alike: no checksums in
 * trailers, which compatible stores refuse or keep as content, and no waiting for `100 Continue`.
 */
export function createS3Client(env: S3Settings): S3Client {
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS };
  const client = new S3Client({
    region: env.S3_REGION ?? 'auto',
    ...(env.S3_ENDPOINT !== undefined && { endpoint: env.S3_ENDPOINT }),
    forcePathStyle: env.S3_FORCE_PATH_STYLE ?? env.S3_ENDPOINT !== undefined,
    ...credentialsOf(env),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    maxAttempts: ATTEMPTS,
    retryMode: 'standard',
    logger: QUIET,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: ATTEMPT_MS,
      throwOnRequestTimeout: true,
      socketTimeout: SILENCE_MS,
      httpAgent: agent,
      httpsAgent: agent,
      logger: QUIET,
    },
  });
  boundAnswers(client);
  return client;
}

/** Without a key, the SDK looks where machines have theirs, and renews what expires. */
function credentialsOf(env: S3Settings): Pick<S3ClientConfig, 'credentials'> {
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (accessKeyId === undefined || secretAccessKey === undefined) return {};
  const sessionToken = env.S3_SESSION_TOKEN;
  return { credentials: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) } };
}

/** Rejects unless the bucket is there for us. */
export async function requireBucket(client: S3Client, Bucket: string, ms: number): Promise<void> {
  await within(ms, (abortSignal) =>
    client.send(new HeadBucketCommand({ Bucket }), { abortSignal }),
  );
}

/**
 * Does something that must be done in time.
 *
 * @param ms for all attempts together
 * @param signal ends it before
 * @throws StoreFault, for all but mistakes in the code
 */
export async function within<T>(
  ms: number,
  call: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new StoreFault('TimeoutError'));
  }, ms);
  const ended = signal ? AbortSignal.any([late.signal, signal]) : late.signal;
  try {
    // The SDK passes the signal to the request, but not to the search for keys or the rests between.
    return await Promise.race([call(ended), rejectionOf(ended)]);
  } catch (error) {
    ended.throwIfAborted();
    throw asFault(error);
  } finally {
    clearTimeout(timer);
  }
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
    if (signal.aborted) reject(signal.reason as Error);
  });
}

/** A fault of the store, or of the way to it. */
export class StoreFault extends Unavailable {
  constructor(
    /** The SDK's name for it, or the store's. */
    reason: string,
    /** The status that the store answered with, if it answered. */
    readonly status?: number,
  ) {
    // It may be the store's own word, so it is not believed to be a name.
    const code = /^\w{1,60}$/.test(reason) ? reason : 'UnknownError';
    const answer = status === undefined ? code : `${code}, ${status}`;
    super(`The object store failed: ${answer}`, code);
  }
}

/**
 * What a call failed with, as it may be told. The SDK's errors carry requests, addresses and headers:
 * only their names are taken. A mistake in the code stays what it is.
 */
export function asFault(error: unknown): Error {
  const { name = '', code, $metadata } = error as SdkError;
  if (error instanceof StoreFault || isMistake(error as SdkError)) return error as Error;
  const isGeneric = name === 'Error' || name === 'AggregateError';
  return new StoreFault(isGeneric && code ? code : name, $metadata?.httpStatusCode);
}

/** What the SDK cannot read of an answer is of the same kinds. */
function isMistake({ name = '', $metadata, $response }: SdkError): boolean {
  const isOfAnswer = $response !== undefined || $metadata?.httpStatusCode !== undefined;
  return MISTAKES.has(name) && !isOfAnswer;
}

/** What the SDK's errors have in common with Node's. */
interface SdkError {
  name?: string;
  code?: string;
  $metadata?: { httpStatusCode?: number };
  $response?: unknown;
}

function ignore(): void {
  // The SDK's warnings would go to the console, past the log.
}
