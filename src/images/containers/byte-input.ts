/** Room that is made at least, so that bytes that come one by one are not copied for each. */
const MIN_ROOM = 256;

/**
 * The bytes of a file as they arrive, for walks that read as if all of them were there.
 *
 * A walk is a generator. It says `while (!input.has(n)) yield;`, then looks at the next `n` bytes
 * and moves on with {@link skip}, which may go past what has arrived. Only what `has` asked for is
 * ever held; whatever is skipped is not. Bytes are copied a bounded number of times, however small
 * the chunks are.
 */
export class ByteInput {
  /** No more bytes will come. */
  ended = false;
  private window: Buffer = Buffer.alloc(0);
  private at = 0;
  private windowEnd = 0;
  private windowStart = 0;
  /** The window is this object's memory, not a chunk of the caller's. */
  private owned = false;
  private wanted = 0;

  /** Of the next byte, from the start of the file. May lie past {@link length} after a skip. */
  get position(): number {
    return this.windowStart + this.at;
  }

  /** How many bytes have come. */
  get length(): number {
    return this.windowStart + this.windowEnd;
  }

  /** Whether what the walk asked for last is there. */
  get satisfied(): boolean {
    return this.windowEnd - this.at >= this.wanted;
  }

  /** Whether so many bytes can be looked at now. If not, the walk is resumed when they can. */
  has(count: number): boolean {
    if (this.windowEnd - this.at >= count) return true;
    this.wanted = count;
    return false;
  }

  /** One of the bytes that {@link has} promised. */
  byte(offset: number): number {
    return this.window[this.at + offset] ?? 0;
  }

  /** The next bytes, without moving on. Valid until the next `yield`. */
  peek(count: number): Buffer {
    return this.window.subarray(this.at, this.at + count);
  }

  /** All that is there, without moving on. Valid until the next `yield`. */
  unread(): Buffer {
    return this.window.subarray(this.at, this.windowEnd);
  }

  /** Moves on, also past what has arrived. */
  skip(count: number): void {
    this.at += count;
  }

  /** Moves on past all that has arrived. */
  skipArrived(): void {
    this.at = Math.max(this.at, this.windowEnd);
  }

  /** Takes a chunk. It may be read until {@link settle}, and is not kept after that. */
  feed(chunk: Buffer): void {
    const unread = this.windowEnd - this.at;
    if (unread <= 0) this.replace(chunk);
    else this.append(chunk, unread);
  }

  /** Copies what is left of the caller's chunk, which may be reused from now on. */
  settle(): void {
    if (this.owned) return;
    const unread = this.windowEnd - this.at;
    if (unread > 0) this.move(unread, unread);
    else this.replace(Buffer.alloc(0));
  }

  private replace(chunk: Buffer): void {
    this.windowStart += this.windowEnd;
    this.at -= this.windowEnd;
    this.window = chunk;
    this.windowEnd = chunk.length;
    this.owned = false;
  }

  private append(chunk: Buffer, unread: number): void {
    if (!this.owned || this.window.length - this.windowEnd < chunk.length) {
      this.move(unread, unread + Math.max(chunk.length, unread, MIN_ROOM));
    }
    chunk.copy(this.window, this.windowEnd);
    this.windowEnd += chunk.length;
  }

  private move(unread: number, room: number): void {
    const next = Buffer.allocUnsafe(room);
    this.window.copy(next, 0, this.at, this.windowEnd);
    this.windowStart += this.at;
    this.window = next;
    this.at = 0;
    this.windowEnd = unread;
    this.owned = true;
  }
}
