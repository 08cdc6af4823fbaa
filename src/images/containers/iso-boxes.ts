import { ContainerRefused } from './container.js';

/** A box of ISO/IEC 14496-12, section 4.2, inside a buffer. */
export interface IsoBox {
  type: string;
  start: number;
  /** Where its content begins. */
  body: number;
  end: number;
}

/** The version and the flags that many boxes begin with. */
export const FULL_BOX_BYTES = 4;

/** The refusal of a file whose boxes contradict themselves. It is returned: the caller throws it. */
export function corrupt(message: string): ContainerRefused {
  return new ContainerRefused('corrupt-file', message);
}

/**
 * The boxes that fill a range of a buffer.
 *
 * @throws ContainerRefused `corrupt-file` when one is longer than the range
 */
export function childBoxes(bytes: Buffer, start: number, end: number): IsoBox[] {
  const boxes: IsoBox[] = [];
  for (let at = start; at < end;) {
    const box = boxAt(bytes, at, end);
    boxes.push(box);
    at = box.end;
  }
  return boxes;
}

function boxAt(bytes: Buffer, start: number, limit: number): IsoBox {
  const fields = new IsoFields(bytes, start, limit);
  const size = fields.uint(4);
  const type = fields.text(4);
  const length = size === 1 ? fields.uint(8) : size;
  const end = length === 0 ? limit : start + length;
  if (end > limit || end < fields.position) {
    throw corrupt(`The box ${printable(type)} does not fit into what it lies in.`);
  }
  return { type, start, body: fields.position, end };
}

/** As a box's type should be: four printable characters. */
export function isBoxType(type: string): boolean {
  return /^[\x20-\x7e]{4}$/.test(type);
}

function printable(type: string): string {
  return isBoxType(type) ? type : '?';
}

/** The fields of a box, one after the other, never past its end. */
export class IsoFields {
  position: number;
  private readonly bytes: Buffer;
  private readonly end: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  /** @param size in bytes; a field of no bytes is zero */
  uint(size: 0 | 1 | 2 | 3 | 4 | 8): number {
    const at = this.take(size);
    if (size === 0) return 0;
    if (size < 8) return this.bytes.readUIntBE(at, size);
    const value = Number(this.bytes.readBigUInt64BE(at));
    if (!Number.isSafeInteger(value)) throw corrupt('The file tells of places past all files.');
    return value;
  }

  text(length: number): string {
    const at = this.take(length);
    return this.bytes.toString('latin1', at, at + length);
  }

  skip(length: number): void {
    this.take(length);
  }

  /** The version of a box that has one; its flags are the other three bytes. */
  fullBox(): { version: number; flags: number } {
    return { version: this.uint(1), flags: this.uint(3) };
  }

  private take(length: number): number {
    const at = this.position;
    if (at + length > this.end) throw corrupt('A box is shorter than what it holds.');
    this.position = at + length;
    return at;
  }
}

/** @param size in bytes; a field of no bytes is left out */
export function uint(size: 0 | 1 | 2 | 4 | 8, value: number): Buffer {
  const bytes = Buffer.alloc(size);
  if (size === 8) bytes.writeBigUInt64BE(BigInt(value));
  else if (size > 0) bytes.writeUIntBE(value, 0, size);
  return bytes;
}

/** Writes a box, whose size has to fit 32 bits. @param type four characters */
export function boxOf(type: string, ...content: Buffer[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), ...content]);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.write(type, 4, 'latin1');
  return bytes;
}

/** {@link boxOf} with a version of 8 bits and flags of 24. */
export function fullBoxOf(
  type: string,
  version: number,
  flags: number,
  ...content: Buffer[]
): Buffer {
  return boxOf(type, uint(4, version * 2 ** 24 + flags), ...content);
}
