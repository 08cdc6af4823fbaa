import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';

/**
 * How many reads of files run at once in this process: as many as Node has threads for them. Of
 * more, hundreds would be done at once, and one turn of the event loop would be as long.
 */
const READS_AT_ONCE = 4;
/** So much of each file goes before the rest of others, in bytes: small ones wait for no large one. */
const HEAD_START_BYTES = 512 * 1024;

/** Lets so many work at once; the others wait, in two lines of which one goes first. */
class Turns {
  private readonly first: (() => void)[] = [];
  private readonly rest: (() => void)[] = [];

  constructor(private free: number) {}

  async run(goesFirst: boolean, work: () => Promise<void>): Promise<void> {
    if (this.free > 0) {
      this.free -= 1;
    } else {
      await new Promise<void>((resolve) => (goesFirst ? this.first : this.rest).push(resolve));
    }
    try {
      await work();
    } finally {
      const next = this.first.shift() ?? this.rest.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}

const turns = new Turns(READS_AT_ONCE);

interface FilePart {
  /** The first byte, and the last. */
  start: number;
  end: number;
  /** How many bytes to read at once. */
  highWaterMark: number;
}

/**
 * A part of a file, in turn with all others that are being read. It closes the file when it ends or
 * is destroyed.
 */
export class FileStream extends Readable {
  private position: number;

  constructor(
    private readonly file: FileHandle,
    private readonly part: FilePart,
  ) {
    super({ highWaterMark: part.highWaterMark });
    this.position = part.start;
  }

  /** As Node's streams of files have it. */
  get bytesRead(): number {
    return this.position - this.part.start;
  }

  override _read(size: number): void {
    const isBeginning = this.position - this.part.start < HEAD_START_BYTES;
    turns
      .run(isBeginning, () => this.readOn(size))
      .catch((error: unknown) => {
        this.destroy(error as Error);
      });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // This waits for a read that is under way.
    this.file.close().then(
      () => {
        done(error);
      },
      (closing: unknown) => {
        done(error ?? (closing as Error));
      },
    );
  }

  private async readOn(size: number): Promise<void> {
    if (this.destroyed) return;
    const length = Math.min(size, this.part.end + 1 - this.position);
    if (length <= 0) {
      this.push(null);
      return;
    }
    const bytes = Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await this.file.read(bytes, 0, length, this.position);
    this.position += bytesRead;
    // Nothing comes of it when it was destroyed meanwhile.
    this.push(bytesRead === 0 ? null : bytes.subarray(0, bytesRead));
  }
}
