import { pipeline, type Readable, Transform, type TransformCallback } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';

/** The most of an error that is read: S3's own are a few hundred bytes of XML. */
const MAX_ERROR_BYTES = 64 * 1024;
/** The most of any other answer: a page of a list has 1,000 keys of 1,024 bytes, and its markup. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Its answer is an object, and is never held in memory. */
const UNBOUNDED = 'GetObjectCommand';

/**
 * Has a client read only so much of an answer: the SDK holds all of it but an object in memory,
 * whoever sent it and however long it is. Of a longer one the connection is closed, and the call
 * fails with `AnswerTooLong`.
 */
export function boundAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        const response = result.response as { statusCode: number; body: Readable };
        const isError = response.statusCode < 200 || response.statusCode > 299;
        if (isError || commandName !== UNBOUNDED) {
          response.body = bounded(response.body, isError ? MAX_ERROR_BYTES : MAX_ANSWER_BYTES);
        }
        return result;
      },
    // The nearest to the wire, before anything reads the body.
    { step: 'deserialize', priority: 'low', name: 'boundAnswers' },
  );
}

function bounded(body: Readable, most: number): Readable {
  // Whoever reads it hears of its errors.
  return pipeline(body, new BoundedBytes(most), () => undefined);
}

/** Passes on so many bytes, and fails when there are more. */
class BoundedBytes extends Transform {
  constructor(private left: number) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.left -= chunk.length;
    if (this.left >= 0) done(null, chunk);
    else done(Object.assign(new Error('The answer is too long.'), { name: 'AnswerTooLong' }));
  }
}
