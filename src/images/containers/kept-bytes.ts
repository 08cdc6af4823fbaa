/** Puts a file together from ranges of another and from new bytes. */
export class KeptBytes {
  private readonly file: Buffer;
  private bytes: Buffer;
  private length = 0;

  constructor(file: Buffer) {
    this.file = file;
    this.bytes = Buffer.allocUnsafe(file.length + 1024);
  }

  /** Appends what the file has from `start` up to but not including `end`. */
  keep(start: number, end: number): void {
    this.makeRoom(end - start);
    this.file.copy(this.bytes, this.length, start, end);
    this.length += end - start;
  }

  add(bytes: Buffer): void {
    this.makeRoom(bytes.length);
    bytes.copy(this.bytes, this.length);
    this.length += bytes.length;
  }

  /** All of it; it may still be altered in place. */
  finish(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  private makeRoom(count: number): void {
    if (this.bytes.length - this.length >= count) return;
    const larger = Buffer.allocUnsafe((this.length + count) * 2);
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
