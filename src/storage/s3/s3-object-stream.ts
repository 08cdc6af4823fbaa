import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreFault } from './s3-client.js';
import type { ByteRange } from '../storage.js';

/** How often one object is gone on with after its connection broke. */
const RESUMPTIONS = 4;
const FIRST_REST_MS = 100;

/** Opens the same object once more, to go on with it. */
export type Reopen = (range: ByteRange, signal: AbortSignal) => Promise<Readable>;

/**
 * The bytes of an object. Where the connection to the store breaks it goes on with the rest, a few
 * times; then it fails. It never ends before its last byte, nor goes on after it.
 */
export class S3ObjectStream extends Readable {
  private readonly closing = new AbortController();
  private position: number;
  private resumptions = 0;
  /** Whether the reader has asked for more than it got. */
  private isWanted = false;
  private isBroken = false;

  /** @param body carries the range, which may end before it begins: then there are no bytes */
  constructor(
    private body: Readable,
    private readonly range: ByteRange,
    private readonly reopen: Reopen,
  ) {
    super();
    this.position = range.start;
    this.follow(body);
  }

  /** As files have it: how many bytes have come from the store. */
  get bytesRead(): number {
    return this.position - this.range.start;
  }

  override _read(): void {
    this.isWanted = true;
    if (this.isBroken) void this.goOn();
    else this.body.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.closing.abort();
    this.body.destroy();
    done(error);
  }

  private follow(body: Readable): void {
    this.body = body;
    body.on('data', (chunk: Buffer) => {
      if (this.position + chunk.length > this.range.end + 1) {
        this.destroy(new StoreFault('IncompleteAnswer'));
        return;
      }
      this.position += chunk.length;
      if (this.push(chunk)) return;
      this.isWanted = false;
      body.pause();
    });
    // Of what follows an error only the first counts.
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      this.isBroken = this.position <= this.range.end;
      if (!this.isBroken) this.push(null);
      // A reader that stands still has its connection time out; it needs none until it goes on.
      else if (this.isWanted) void this.goOn();
    };
    for (const event of ['end', 'error', 'close']) body.on(event, end);
    // An open stream must not be read before somebody asks.
    body.pause();
  }

  /** Goes on where the bytes ended too early. */
  private async goOn(): Promise<void> {
    if (this.destroyed) return;
    this.isBroken = false;
    this.body.destroy();
    try {
      if (this.resumptions === RESUMPTIONS) throw new StoreFault('ECONNRESET');
      await delay(FIRST_REST_MS * 2 ** this.resumptions, undefined, {
        signal: this.closing.signal,
      });
      this.resumptions += 1;
      const rest = { start: this.position, end: this.range.end };
      const body = await this.reopen(rest, this.closing.signal);
      this.follow(body);
      if (this.closing.signal.aborted) body.destroy();
      else body.resume();
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}
