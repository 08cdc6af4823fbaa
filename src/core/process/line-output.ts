import { write, writeSync } from 'node:fs';

/** How long a line waits for others at the most, in milliseconds. */
const GATHERING_MS = 50;
/** From how many UTF-16 units on lines wait no longer. */
const BUNDLE_LENGTH = 8 * 1024;
/** How many UTF-16 units are kept for a reader that stands still: some fifty thousand lines. */
const KEPT_LENGTH = 16 * 1024 * 1024;
/** When a full pipe or disk is tried again, in milliseconds. */
const AGAIN_MS = 10;
/** How long a process that exits tries to write what is left, in milliseconds. */
const LAST_WORDS_MS = 1_000;
const LAST_WORDS_AGAIN_MS = 20;

/**
 * Writes lines to a file, a pipe or a socket, several at a time: handing each to the system alone
 * costs more than making it.
 *
 * Nothing waits for who reads them. While a reader stands still, or a disk is full, they are kept up
 * to a limit, and those beyond it are counted and dropped; when the reader is gone all are. A process
 * that exits writes what is left, if that can be done within a second.
 */
export class LineOutput {
  /** Lines that have come since some were last taken to be written. */
  private gathered = '';
  /** What was taken, and is not written yet. */
  private rest = Buffer.alloc(0);
  /** Whether the system has that in hand. */
  private isWriting = false;
  private timer: NodeJS.Timeout | undefined;
  private dropped = 0;
  private isReaderGone = false;

  /**
   * @param fd which does not block when it is full
   * @param onDropped is told how many lines are missing once there is room again; it may write
   */
  constructor(
    private readonly fd: number,
    private readonly onDropped: (count: number) => void,
  ) {
    process.on('exit', () => {
      this.writeLastWords();
    });
  }

  /** @param line with its end */
  write(line: string): void {
    if (this.isReaderGone) return;
    if (this.gathered.length + line.length > KEPT_LENGTH) {
      this.dropped += 1;
      return;
    }
    this.gathered += line;
    this.schedule();
  }

  private schedule(): void {
    if (this.gathered.length >= BUNDLE_LENGTH) this.begin();
    else this.timer ??= setTimeout(this.begin, GATHERING_MS).unref();
  }

  private readonly begin = (): void => {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.rest.length > 0) return;
    this.rest = Buffer.from(this.gathered);
    this.gathered = '';
    this.goOn();
    const { dropped } = this;
    this.dropped = 0;
    if (dropped > 0) this.onDropped(dropped);
  };

  private readonly goOn = (): void => {
    this.isWriting = true;
    write(this.fd, this.rest, (error, bytes) => {
      this.isWriting = false;
      if (isReaderGone(error)) this.forget();
      else if (error) setTimeout(this.goOn, AGAIN_MS).unref();
      else this.advance(bytes);
    });
  };

  private advance(bytes: number): void {
    this.rest = this.rest.subarray(bytes);
    if (this.rest.length > 0) this.goOn();
    else if (this.gathered !== '') this.schedule();
  }

  private forget(): void {
    this.isReaderGone = true;
    this.gathered = '';
    this.rest = Buffer.alloc(0);
  }

  /** There is no event loop any more: what the system has in hand it goes on writing by itself. */
  private writeLastWords(): void {
    let left = Buffer.concat([
      this.isWriting ? Buffer.alloc(0) : this.rest,
      Buffer.from(this.gathered),
    ]);
    const deadline = performance.now() + LAST_WORDS_MS;
    while (left.length > 0 && performance.now() < deadline) {
      try {
        left = left.subarray(writeSync(this.fd, left));
      } catch (error) {
        if (isReaderGone(error)) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LAST_WORDS_AGAIN_MS);
      }
    }
  }
}

/** For good, where a pipe or a disk is only full for now. */
function isReaderGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'EPIPE';
}
