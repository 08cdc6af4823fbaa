import { ContainerRefused, type PictureFacts } from './container.js';
import type { ByteInput } from './byte-input.js';
import type { ForEachPart, PartVisitor } from './format-walk.js';
import { KeptBytes } from './kept-bytes.js';
import type { PictureTally } from './tally.js';

const IMAGE = 0x2c;
const EXTENSION = 0x21;
const TRAILER = 0x3b;
const GRAPHIC_CONTROL = 0xf9;
const APPLICATION = 0xff;

/** The signature and the logical screen descriptor. */
const HEADER_BYTES = 13;
const IMAGE_DESCRIPTOR_BYTES = 10;
/** An introducer, a label, four bytes with their length, and the end. */
const GRAPHIC_CONTROL_BYTES = 8;
/** Extensions that hold how often an animation is repeated. */
const LOOP_EXTENSIONS = ['NETSCAPE2.0', 'ANIMEXTS1.0'];
/** An introducer, a label, a name of eleven bytes, three bytes, each with a length, and the end. */
const LOOP_BYTES = 19;

/**
 * A GIF: CompuServe's specification of 1990. Its parts are the header with the colour table, and
 * the blocks.
 */
export function* walkGif(
  input: ByteInput,
  tally: PictureTally,
  visit: PartVisitor,
): Generator<undefined, void> {
  while (!input.has(HEADER_BYTES)) yield;
  const header = input.peek(HEADER_BYTES);
  tally.setSize(header.readUInt16LE(6), header.readUInt16LE(8));
  input.skip(HEADER_BYTES + colourTableBytes(header[10] ?? 0));
  visit(0, input.position);
  let frames = 0;
  for (;;) {
    tally.countPart();
    while (!input.has(2) && !(input.has(1) && input.byte(0) === TRAILER)) yield;
    const start = input.position;
    const block = input.byte(0);
    if (block === TRAILER) {
      visit(start, start + 1);
      break;
    }
    if (block === IMAGE) {
      frames += 1;
      yield* walkDescriptor(input, tally, frames);
    } else if (block === EXTENSION) {
      input.skip(2);
    } else {
      throw new ContainerRefused('corrupt-file', 'The GIF has a block of no known type.');
    }
    yield* skipSubBlocks(input);
    visit(start, input.position);
  }
  if (frames === 0) throw new ContainerRefused('corrupt-file', 'The GIF has no picture.');
}

/** What comes before the pixels of a picture. */
function* walkDescriptor(
  input: ByteInput,
  tally: PictureTally,
  frames: number,
): Generator<undefined, void> {
  while (!input.has(IMAGE_DESCRIPTOR_BYTES)) yield;
  tally.setFrames(frames);
  const descriptor = input.peek(IMAGE_DESCRIPTOR_BYTES);
  if (frames === 1) growCanvas(descriptor, tally);
  // The smallest code size of the compression follows the descriptor and its colours.
  input.skip(IMAGE_DESCRIPTOR_BYTES + colourTableBytes(descriptor[9] ?? 0) + 1);
}

function* skipSubBlocks(input: ByteInput): Generator<undefined, void> {
  for (;;) {
    while (!input.has(1)) yield;
    const length = input.byte(0);
    input.skip(length + 1);
    if (length === 0) return;
  }
}

function colourTableBytes(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 0x07) + 1) : 0;
}

/** A first picture that stands out of the canvas makes it larger; decoders crop the others. */
function growCanvas(descriptor: Buffer, tally: PictureTally): void {
  const width = descriptor.readUInt16LE(1) + descriptor.readUInt16LE(5);
  const height = descriptor.readUInt16LE(3) + descriptor.readUInt16LE(7);
  const { facts } = tally;
  if (width <= facts.width && height <= facts.height) return;
  tally.setSize(Math.max(width, facts.width), Math.max(height, facts.height));
}

/** A GIF without its metadata: the pictures, how they follow each other, and how often. */
export function stripGif(file: Buffer, _facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const kept = new KeptBytes(file);
  forEachPart((start, end) => {
    if (file[start] !== EXTENSION || start === 0) kept.keep(start, end);
    else kept.add(strippedExtension(file.subarray(start, end)));
  });
  return kept.finish();
}

/** The extension at its regular length, or nothing when it does not concern the picture. */
function strippedExtension(block: Buffer): Buffer {
  if (block[1] === GRAPHIC_CONTROL && block[2] === 4) {
    return endedAt(block, GRAPHIC_CONTROL_BYTES);
  }
  const isLoop =
    block[1] === APPLICATION &&
    block[2] === 11 &&
    LOOP_EXTENSIONS.includes(block.toString('latin1', 3, 14)) &&
    block[14] === 3 &&
    block[15] === 1;
  return isLoop ? endedAt(block, LOOP_BYTES) : Buffer.alloc(0);
}

/** Drops further sub-blocks, which could hold anything. */
function endedAt(block: Buffer, length: number): Buffer {
  const ended = Buffer.from(block.subarray(0, length));
  ended[length - 1] = 0;
  return ended;
}
