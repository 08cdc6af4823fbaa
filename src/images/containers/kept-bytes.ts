interface Range {
  start: number;
  end: number;
}

/** Puts a file together from ranges of another and from new bytes. */
export class KeptBytes {
  private readonly file: Buffer;
  private readonly pieces: (Range | Buffer)[] = [];

  constructor(file: Buffer) {
    this.file = file;
  }

  /** Appends what the file has from `start` up to but not including `end`. */
  keep(start: number, end: number): void {
    const last = this.pieces.at(-1);
    if (last && !Buffer.isBuffer(last) && last.end === start) last.end = end;
    else this.pieces.push({ start, end });
  }

  add(bytes: Buffer): void {
    this.pieces.push(bytes);
  }

  /**
   * All of it; it may still be altered in place.
   *
   * The file is used up: its longest range, which is most of a picture, stays where it is, and the
   * rest is written around it. A copy of the whole costs as much as reading the file.
   */
  finish(): Buffer {
    const longest = this.pieces.reduce<Range>(
      (longest, piece) =>
        !Buffer.isBuffer(piece) && lengthOf(piece) > lengthOf(longest) ? piece : longest,
      { start: 0, end: 0 },
    );
    const at = this.pieces.indexOf(longest);
    const before = this.join(this.pieces.slice(0, Math.max(0, at)));
    const after = this.join(this.pieces.slice(at + 1));
    const start = longest.start - before.length;
    const end = longest.end + after.length;
    if (start < 0 || end > this.file.length) {
      return Buffer.concat([before, this.file.subarray(longest.start, longest.end), after]);
    }
    before.copy(this.file, start);
    after.copy(this.file, longest.end);
    return this.file.subarray(start, end);
  }

  private join(pieces: (Range | Buffer)[]): Buffer {
    return Buffer.concat(
      pieces.map((piece) =>
        Buffer.isBuffer(piece) ? piece : this.file.subarray(piece.start, piece.end),
      ),
    );
  }
}

function lengthOf({ start, end }: Range): number {
  return end - start;
}
