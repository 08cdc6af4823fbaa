import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { asFault } from './s3-client.js';

/**
 * The least that S3 takes for a part, and what an upload holds in memory. Smaller files go in one
 * request. R2 wants all parts of one size.
 */
const PART_BYTES = 5 * 1024 * 1024;

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
 * Stores what a stream carries, part by part: each is in memory, so that it can be sent again, and
 * is signed with its SHA-256, so that the store takes it as it is or not at all.
 *
 * When the stream fails or the signal aborts, this waits for the request that is under way and has
 * the store forget what it has, before it rejects.
 *
 * @returns how many bytes there were
 * @throws what the stream failed with; Unavailable; an AbortError
 */
export async function sendToS3(
  client: S3Client,
  { Bucket, Key, stream, contentType, signal }: Sending,
): Promise<number> {
  const counted = new CountedBytes(stream);
  const abort = (): void => void stream.destroy(abortError(signal));
  if (signal?.aborted) throw abortError(signal);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const upload = new Upload({
      client,
      params: {
        Bucket,
        Key,
        Body: Readable.from(counted),
        ContentType: contentType,
        CacheControl: CACHE_CONTROL,
      },
      partSize: PART_BYTES,
      queueSize: 1,
    });
    await upload.done();
    return counted.bytes;
  } catch (error) {
    // The store may fail as well when it is to forget an upload: the first fault is the one to tell.
    throw counted.failed ? counted.error : asFault(error);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** The bytes of a stream, how many there were, and what the stream failed with. */
class CountedBytes {
  bytes = 0;
  failed = false;
  error: unknown;

  constructor(private readonly stream: Readable) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of this.stream as AsyncIterable<Buffer>) {
        this.bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      this.failed = true;
      this.error = error;
      throw error;
    }
  }
}

function abortError(signal: AbortSignal | undefined): Error {
  const error = new Error('The upload was aborted.', { cause: signal?.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}
