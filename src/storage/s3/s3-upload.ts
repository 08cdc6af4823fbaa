import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Admission } from '../../core/admission.js';
import type { Env } from '../../core/env.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { asFault } from './s3-client.js';
import { SpooledFile } from './spooled-file.js';

const MEBIBYTE = 1024 * 1024;

/** The least that S3 takes for a part. Smaller files go in one request. R2 wants all of one size. */
const PART_BYTES = 5 * MEBIBYTE;

/** The SDK puts a part together from what it has read, and holds both. */
const COPIES = 2;

/**
 * How long a file waits for memory, in milliseconds. Its client has sent all of it, and waits for the
 * answer.
 */
const MEMORY_WAIT_MS = 5_000;

/** Where files gather, below `DATA_DIR`. */
const FOLDER = 'work';

/** Keys never get other content. What lies between the store and a browser may keep none of it. */
const CACHE_CONTROL = 'private, max-age=31536000, immutable';

interface Sending {
  Bucket: string;
  Key: string;
  stream: Readable;
  contentType: string;
  signal?: AbortSignal | undefined;
}

/**
 * Stores what streams carry, part by part: each is in memory while it is sent, so that it can be
 * sent again, and is signed with its SHA-256, so that the store takes it as it is or not at all.
 *
 * Until it is whole a file is on the disk: its sender may be slow, and there may be many. Memory is
 * for those that only the store has to be waited for, and for so many as fit.
 */
export class S3Uploads {
  private readonly folder: string;
  private readonly memory: Admission;

  constructor(
    private readonly client: S3Client,
    env: Pick<Env, 'DATA_DIR' | 'UPLOAD_MEMORY_MB'>,
  ) {
    this.folder = join(env.DATA_DIR, FOLDER);
    this.memory = new Admission(Infinity, env.UPLOAD_MEMORY_MB);
  }

  /**
   * When the stream fails, nothing was asked of the store. When the signal aborts, this waits for the
   * request that is under way and has the store forget what it has, before it rejects.
   *
   * @returns how many bytes there were
   * @throws what the stream failed with; Unavailable; an AbortError
   */
  async send(sending: Sending): Promise<number> {
    const { signal } = sending;
    if (signal?.aborted) throw abortError(signal);
    const file = await SpooledFile.create(this.folder);
    try {
      await gather(file, sending);
      const memoryMb = (COPIES * Math.min(file.bytes, PART_BYTES)) / MEBIBYTE;
      await this.enter(memoryMb, signal);
      try {
        await this.store(file, sending);
      } finally {
        this.memory.leave(memoryMb);
      }
      return file.bytes;
    } finally {
      await file.close();
    }
  }

  private async store(file: SpooledFile, { Bucket, Key, contentType, signal }: Sending) {
    const Body = Readable.from(file.content(signal), { highWaterMark: 1 });
    const params = { Bucket, Key, Body, ContentType: contentType, CacheControl: CACHE_CONTROL };
    const upload = new Upload({ client: this.client, params, partSize: PART_BYTES, queueSize: 1 });
    try {
      await upload.done();
    } catch (error) {
      throw signal?.aborted ? abortError(signal) : asFault(error);
    }
  }

  private async enter(memoryMb: number, signal: AbortSignal | undefined): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new Unavailable('No memory became free for an upload', 'UploadMemoryBusy'));
    }, MEMORY_WAIT_MS);
    try {
      const ended = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
      await this.memory.enter(memoryMb, ended);
    } catch (error) {
      throw signal?.aborted ? abortError(signal) : error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Lets a stream run into a file. */
async function gather(file: SpooledFile, { stream, signal }: Sending): Promise<void> {
  const abort = (): void => void stream.destroy(abortError(signal));
  signal?.addEventListener('abort', abort, { once: true });
  try {
    if (signal?.aborted) abort();
    for await (const carried of stream as AsyncIterable<Buffer>) {
      // A stream may carry objects, and what is no bytes would just be missing.
      await file.add(Buffer.isBuffer(carried) ? carried : Buffer.from(carried));
    }
    if (signal?.aborted) throw abortError(signal);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function abortError(signal: AbortSignal | undefined): Error {
  const error = new Error('The upload was aborted.', { cause: signal?.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}
