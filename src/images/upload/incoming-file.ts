import { finished, type Readable, Transform, type TransformCallback } from 'node:stream';
import type { Env } from '../../core/env.js';
import { malformed, Problem } from '../../core/problems/problem.js';
import {
  type ContainerFormat,
  ContainerRefused,
  type PictureLimits,
} from '../containers/container.js';
import { detectFormat, SIGNATURE_BYTES } from '../containers/format.js';
import { containerProblems, emptyFile, fileTooLarge, unsupportedType } from '../images.problems.js';
import { FileInspection, type InspectedFile } from './file-inspection.js';

/** How large a file may be, in bytes, and its picture. */
export interface FileLimits extends PictureLimits {
  maxBytes: number;
}

/** Those that the operator chose, the same for uploads whole and in parts. */
export function fileLimitsOf(env: Env): FileLimits {
  return {
    maxBytes: env.UPLOAD_MAX_BYTES,
    maxPixels: env.IMAGE_MAX_PIXELS,
    maxFrames: env.IMAGE_MAX_FRAMES,
  };
}

/** Stores a file while it arrives. */
export type StoreFile = (
  format: ContainerFormat,
  bytes: Readable,
  signal?: AbortSignal,
) => Promise<void>;

/**
 * Receives one file. It is never held in memory: it is counted, hashed, walked and handed to
 * `store` while it streams, and what its structure shows ends the storing before the file is whole.
 *
 * @throws Problem naming what is wrong with the file; what was stored is then the caller's to remove
 */
export async function receiveFile(
  stream: Readable,
  limits: FileLimits,
  store: (format: ContainerFormat, bytes: Readable) => Promise<void>,
): Promise<InspectedFile> {
  const start = await takeStart(stream, SIGNATURE_BYTES);
  if (start.length === 0) throw new Problem(emptyFile);
  const format = detectFormat(start);
  if (!format) throw new Problem(unsupportedType);

  const inspection = new InspectedStream(limits);
  // pipe() passes no errors on: a file that breaks off must end the storing as well.
  finished(stream, (error) => {
    if (error) inspection.destroy(brokenOff(error));
  });
  inspection.write(start);
  await store(format, stream.pipe(inspection));
  return inspection.result;
}

/** Passes a file on while it is looked at, and breaks off with a Problem when it is refused. */
class InspectedStream extends Transform {
  private readonly inspection: FileInspection;
  private inspected: InspectedFile | undefined;

  constructor(private readonly limits: FileLimits) {
    super();
    this.inspection = new FileInspection(limits);
  }

  /** What was seen of a file that came to its end. */
  get result(): InspectedFile {
    if (!this.inspected) throw new Error('The file has not come to its end');
    return this.inspected;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.settle(done, () => {
      const bytes = this.inspection.bytes + chunk.length;
      if (bytes > this.limits.maxBytes) throw tooLarge(this.limits);
      this.inspection.see(chunk);
      this.push(chunk);
    });
  }

  override _flush(done: TransformCallback): void {
    this.settle(done, () => {
      this.inspected = this.inspection.end();
    });
  }

  private settle(done: TransformCallback, step: () => void): void {
    try {
      step();
    } catch (error) {
      done(asProblem(error));
      return;
    }
    done();
  }
}

/** `file-too-large`, with the limit in bytes. It is returned, not thrown: streams end with it, too. */
export function tooLarge({ maxBytes }: Pick<FileLimits, 'maxBytes'>): Problem {
  return new Problem(fileTooLarge, `An upload may have at most ${maxBytes} bytes.`);
}

/** The problem of a body that ended, or went wrong, before its end. */
export function brokenOff(cause: unknown): Problem {
  return new Problem(malformed, 'The form is not well-formed, or broke off before its end.', {
    cause,
  });
}

function asProblem(error: unknown): Error {
  if (!(error instanceof ContainerRefused)) return error as Error;
  return new Problem(containerProblems[error.code], error.message, { cause: error });
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
