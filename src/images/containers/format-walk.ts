import type { PictureFacts } from './container.js';
import type { ByteInput } from './byte-input.js';
import type { PictureTally } from './tally.js';

/** A part of the file that belongs to its picture, from `start` up to but not including `end`. */
export type PartVisitor = (start: number, end: number) => void;

/** Hands over each part of a picture, in the order of the file. */
export type ForEachPart = (visit: PartVisitor) => void;

/**
 * Reads the structure of one format, from the first byte of the file.
 *
 * It yields when it wants more bytes and ends where the picture ends. It tells the tally what it
 * learns, and the visitor each part: a segment, a chunk, a block, a box. The first bytes of a part
 * say what it is.
 *
 * @throws ContainerRefused as soon as something is wrong
 */
export type FormatWalk = (
  input: ByteInput,
  tally: PictureTally,
  visit: PartVisitor,
) => Generator<undefined, void>;

/**
 * Puts a picture together again from the parts that decoding needs. The file has been walked, so
 * its structure is sound.
 */
export type FormatStrip = (file: Buffer, facts: PictureFacts, forEachPart: ForEachPart) => Buffer;
