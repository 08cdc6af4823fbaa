import { ContainerRefused, type PictureFacts } from './container.js';
import type { ByteInput } from './byte-input.js';
import { MAX_EXIF_BYTES, readOrientation } from './exif.js';
import type { PartVisitor } from './format-walk.js';
import type { PictureTally } from './tally.js';

/** "RIFF", the length of what follows, "WEBP". */
export const RIFF_HEADER_BYTES = 12;
/** The type and the length of a chunk. */
export const CHUNK_HEADER_BYTES = 8;
/** Where a frame lies, its size, how long it is shown and how it is blended. */
export const ANMF_HEADER_BYTES = 16;
const VP8X_BYTES = 10;
/** RFC 9649, section 2.7.1.1. */
export const VP8X_FLAGS = { icc: 0x20, alpha: 0x10, exif: 0x08, xmp: 0x04, animation: 0x02 };

interface Size {
  width: number;
  height: number;
}

interface Chunk {
  type: string;
  start: number;
  /** Without the byte that pads a chunk of odd length. */
  end: number;
  paddedEnd: number;
}

interface Progress {
  /** Of the VP8X chunk, or undefined in a file of the simple kind. */
  flags: number | undefined;
  hasImage: boolean;
  hasExif: boolean;
  frames: number;
}

/**
 * A WebP: RFC 9649, section 2. Its parts are the chunks, up to the length that RIFF tells.
 * What libwebp refuses is refused: pictures that do not fit their canvas or their frame.
 */
export function* walkWebp(
  input: ByteInput,
  tally: PictureTally,
  visit: PartVisitor,
): Generator<undefined, void> {
  while (!input.has(RIFF_HEADER_BYTES)) yield;
  const end = 8 + input.peek(8).readUInt32LE(4);
  input.skip(RIFF_HEADER_BYTES);
  const progress: Progress = { flags: undefined, hasImage: false, hasExif: false, frames: 0 };
  let first = true;
  while (end - input.position >= CHUNK_HEADER_BYTES) {
    const chunk = yield* nextChunk(input, end, tally);
    yield* readChunk(input, chunk, first, progress, tally);
    first = false;
    input.skip(chunk.paddedEnd - input.position);
    visit(chunk.start, chunk.end);
    // Of a file of the simple kind, decoders read no more.
    if (progress.flags === undefined) break;
  }
  input.skip(Math.max(end - input.position, 0));
  while (!input.has(0)) yield;
  if (!progress.hasImage && progress.frames === 0) throw corrupt('The WebP has no picture.');
}

function* nextChunk(
  input: ByteInput,
  containerEnd: number,
  tally: PictureTally,
): Generator<undefined, Chunk> {
  tally.countPart();
  while (!input.has(CHUNK_HEADER_BYTES)) yield;
  const header = input.peek(CHUNK_HEADER_BYTES);
  const start = input.position;
  const end = start + CHUNK_HEADER_BYTES + header.readUInt32LE(4);
  if (end > containerEnd) throw corrupt('A chunk of the WebP is longer than what it lies in.');
  const paddedEnd = Math.min(end + ((end - start) % 2), containerEnd);
  return { type: header.toString('latin1', 0, 4), start, end, paddedEnd };
}

function* readChunk(
  input: ByteInput,
  chunk: Chunk,
  first: boolean,
  progress: Progress,
  tally: PictureTally,
): Generator<undefined, void> {
  if (chunk.type === 'VP8X') {
    if (!first) throw corrupt('The extended header of a WebP is its first chunk.');
    const header = yield* peekData(input, chunk, VP8X_BYTES);
    progress.flags = header[0] ?? 0;
    tally.setSize(1 + header.readUIntLE(4, 3), 1 + header.readUIntLE(7, 3));
  } else if (first && !isImage(chunk.type)) {
    throw corrupt('The WebP begins with neither a header nor a picture.');
  } else if (isImage(chunk.type)) {
    if (isAnimated(progress) || progress.hasImage) return;
    progress.hasImage = true;
    setImageSize(yield* readImageSize(input, chunk), progress, tally);
  } else if (chunk.type === 'ANMF' && isAnimated(progress)) {
    progress.frames += 1;
    tally.setFrames(progress.frames);
    yield* readFrame(input, chunk, tally);
  } else if (chunk.type === 'EXIF' && hasExifFlag(progress) && !progress.hasExif) {
    progress.hasExif = true;
    const length = Math.min(chunk.end - chunk.start - CHUNK_HEADER_BYTES, MAX_EXIF_BYTES);
    tally.facts.orientation = readOrientation(yield* peekData(input, chunk, length));
  }
}

function isAnimated({ flags = 0 }: Progress): boolean {
  return (flags & VP8X_FLAGS.animation) !== 0;
}

/** Decoders do not look for EXIF that is not announced. */
function hasExifFlag({ flags = 0 }: Progress): boolean {
  return (flags & VP8X_FLAGS.exif) !== 0;
}

/** Whether a chunk holds coded pixels, lossy or lossless: those of the picture, or of a frame. */
export function isImage(type: string): boolean {
  return type === 'VP8 ' || type === 'VP8L';
}

function setImageSize({ width, height }: Size, { flags }: Progress, tally: PictureTally): void {
  const { facts } = tally;
  if (flags === undefined) tally.setSize(width, height);
  else if (width !== facts.width || height !== facts.height) {
    throw corrupt('The picture of the WebP is not of the size of its canvas.');
  }
}

/** A frame of an animation: RFC 9649, section 2.7.1.3. */
function* readFrame(
  input: ByteInput,
  frame: Chunk,
  tally: PictureTally,
): Generator<undefined, void> {
  const header = yield* peekData(input, frame, ANMF_HEADER_BYTES);
  const [x, y] = [2 * header.readUIntLE(0, 3), 2 * header.readUIntLE(3, 3)];
  const [width, height] = [1 + header.readUIntLE(6, 3), 1 + header.readUIntLE(9, 3)];
  if (x + width > tally.facts.width || y + height > tally.facts.height) {
    throw corrupt('A frame of the WebP stands out of its canvas.');
  }
  input.skip(CHUNK_HEADER_BYTES + ANMF_HEADER_BYTES);
  while (frame.end - input.position >= CHUNK_HEADER_BYTES) {
    const chunk = yield* nextChunk(input, frame.end, tally);
    if (isImage(chunk.type)) {
      const size = yield* readImageSize(input, chunk);
      if (size.width === width && size.height === height) return;
      throw corrupt('The picture in a frame of the WebP is not of its size.');
    }
    input.skip(chunk.paddedEnd - input.position);
  }
  throw corrupt('A frame of the WebP has no picture.');
}

/** The header of a key frame of VP8 (RFC 6386, section 9.1) or of VP8L (RFC 9649, section 3.4). */
function* readImageSize(input: ByteInput, chunk: Chunk): Generator<undefined, Size> {
  if (chunk.type === 'VP8L') {
    const header = yield* peekData(input, chunk, 5);
    if (header[0] !== 0x2f)
      throw corrupt('The lossless picture in the WebP has a wrong signature.');
    const bits = header.readUInt32LE(1);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
  }
  const header = yield* peekData(input, chunk, 10);
  const isKeyFrame = ((header[0] ?? 1) & 1) === 0 && header.readUIntBE(3, 3) === 0x9d012a;
  if (!isKeyFrame) throw corrupt('The picture in the WebP is no key frame.');
  const size = {
    width: header.readUInt16LE(6) & 0x3fff,
    height: header.readUInt16LE(8) & 0x3fff,
  };
  if (size.width === 0 || size.height === 0) throw corrupt('The picture in the WebP is empty.');
  return size;
}

/** The first bytes of a chunk's data. */
function* peekData(input: ByteInput, chunk: Chunk, length: number): Generator<undefined, Buffer> {
  const dataStart = chunk.start + CHUNK_HEADER_BYTES;
  if (chunk.end - dataStart < length) throw corrupt(`The chunk ${chunk.type} is too short.`);
  while (!input.has(CHUNK_HEADER_BYTES + length)) yield;
  return input.peek(CHUNK_HEADER_BYTES + length).subarray(CHUNK_HEADER_BYTES);
}

function corrupt(message: string): ContainerRefused {
  return new ContainerRefused('corrupt-file', message);
}

/** The chunk that a file of the extended kind begins with, without any flags. */
export function extendedHeader({ width, height }: Pick<PictureFacts, 'width' | 'height'>): Buffer {
  const data = Buffer.alloc(VP8X_BYTES);
  data.writeUIntLE(width - 1, 4, 3);
  data.writeUIntLE(height - 1, 7, 3);
  return webpChunk('VP8X', data);
}

/** A chunk that holds these bytes. */
export function webpChunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(CHUNK_HEADER_BYTES + data.length + (data.length % 2));
  bytes.write(type, 'latin1');
  bytes.writeUInt32LE(data.length, 4);
  data.copy(bytes, CHUNK_HEADER_BYTES);
  return bytes;
}
