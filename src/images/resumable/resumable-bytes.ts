import { type Readable, Writable } from 'node:stream';
import { payloadTooLarge, Problem } from '../../core/problems/problem.js';
import type { ResumableLease } from './resumable-leases.js';

/** By which whoever changes an upload keeps others from doing so. */
export type Hold = Pick<ResumableLease, 'keep' | 'during'>;

/**
 * The bytes of unfinished uploads, by the ids of those. How far one has come is how many of its
 * bytes are stored, and nothing else. Whoever changes one holds its lease.
 */
export abstract class ResumableBytes {
  /** How many bytes have come. A crash or a power cut does not take them back. */
  abstract offset(id: string): Promise<number>;

  /** Opens the bytes of an upload to go on with them. The caller closes them. */
  abstract open(id: string, hold: Hold): Promise<GrowingBytes>;

  /** The bytes from their start. The caller reads them to their end or destroys the stream. */
  abstract read(id: string): Readable;

  /** Removes the bytes; having none is no error. */
  abstract remove(id: string): Promise<void>;

  /** The ids of all uploads of which there are bytes. */
  abstract ids(): Promise<string[]>;
}

/** The bytes of one upload while a request adds to them. */
export abstract class GrowingBytes {
  constructor(
    /** How many bytes there are. */
    public size: number,
    protected readonly hold: Hold,
  ) {}

  /**
   * A stream whose bytes are added, so long as the lease holds.
   *
   * @param end how many bytes there may be at most; with one more the stream fails with Problem
   * `payload-too-large`
   */
  sink(end: number): Writable {
    const add = async (chunk: Buffer): Promise<void> => {
      if (this.size + chunk.length > end) {
        throw new Problem(payloadTooLarge, 'The body goes on past the end of the file.');
      }
      await this.hold.keep();
      await this.add(chunk);
    };
    return new Writable({
      write(chunk: Buffer, _encoding, done) {
        add(chunk).then(() => {
          done();
        }, done);
      },
    });
  }

  protected abstract add(chunk: Buffer): Promise<void>;

  /** Throws away all that was added. @param size how many bytes there were when it was opened */
  abstract cutTo(size: number): Promise<void>;

  /** Makes all that came durable. */
  abstract flush(): Promise<void>;

  abstract close(): Promise<void>;
}
