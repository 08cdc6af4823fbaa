import { crc32 } from 'node:zlib';
import { ContainerRefused } from './container.js';
import type { ByteInput } from './byte-input.js';
import { EXIF_PREFIX, MAX_EXIF_BYTES, readOrientation } from './exif.js';
import type { PartVisitor } from './format-walk.js';
import type { PictureTally } from './tally.js';

export const PNG_SIGNATURE_BYTES = 8;
/** The length and the type before a chunk's data; a checksum of four bytes follows it. */
export const PNG_HEADER_BYTES = 8;
const CHUNK_OVERHEAD = PNG_HEADER_BYTES + 4;
const IHDR_BYTES = 13;
/** PNG, third edition, section 5.3. */
const MAX_CHUNK_BYTES = 0x7fffffff;
const CRITICAL_CHUNKS = ['IHDR', 'PLTE', 'IDAT', 'IEND'];

interface Progress {
  hasData: boolean;
  hasExif: boolean;
  animated: boolean;
  /** Chunks `fcTL`, one for each frame of an animation. */
  frameHeaders: number;
}

/**
 * A PNG or an animated one: PNG, third edition, section 5. Its parts are the chunks.
 *
 * Checksums are not looked at: the decoder does that.
 */
export function* walkPng(
  input: ByteInput,
  tally: PictureTally,
  visit: PartVisitor,
): Generator<undefined, void> {
  const progress = { hasData: false, hasExif: false, animated: false, frameHeaders: 0 };
  input.skip(PNG_SIGNATURE_BYTES);
  for (;;) {
    tally.countPart();
    while (!input.has(PNG_HEADER_BYTES)) yield;
    const header = input.peek(PNG_HEADER_BYTES);
    const length = header.readUInt32BE(0);
    const type = header.toString('latin1', 4, 8);
    checkChunk(type, length, tally.facts.width === 0);
    const read = readLength(type, length);
    while (!input.has(PNG_HEADER_BYTES + read)) yield;
    readChunk(type, input.peek(PNG_HEADER_BYTES + read), progress, tally);
    visit(input.position, input.position + CHUNK_OVERHEAD + length);
    input.skip(CHUNK_OVERHEAD + length);
    if (type === 'IEND') break;
  }
  while (!input.has(0)) yield;
  if (!progress.hasData) throw corrupt('The PNG has no pixels.');
}

function checkChunk(type: string, length: number, isFirst: boolean): void {
  if (!/^[A-Za-z]{4}$/.test(type) || length > MAX_CHUNK_BYTES) {
    throw corrupt('The PNG has a chunk that is none.');
  }
  if (isFirst !== (type === 'IHDR'))
    throw corrupt('A PNG has one header, which is its first chunk.');
  const critical = /^[A-Z]/.test(type);
  if (critical && !CRITICAL_CHUNKS.includes(type)) {
    throw corrupt(`The PNG has a critical chunk ${type}, which nobody knows.`);
  }
  if ((type === 'IHDR' && length !== IHDR_BYTES) || (type === 'IEND' && length !== 0)) {
    throw corrupt(`The chunk ${type} of the PNG has a wrong length.`);
  }
}

/** How many bytes of a chunk's data are looked at. */
function readLength(type: string, length: number): number {
  if (type === 'IHDR') return IHDR_BYTES;
  if (type === 'acTL') return Math.min(length, 8);
  if (type === 'eXIf') return Math.min(length, MAX_EXIF_BYTES);
  return 0;
}

function readChunk(type: string, chunk: Buffer, progress: Progress, tally: PictureTally): void {
  const data = chunk.subarray(PNG_HEADER_BYTES);
  if (type === 'IHDR') tally.setSize(data.readUInt32BE(0), data.readUInt32BE(4));
  if (type === 'IDAT') progress.hasData = true;
  // The specification allows it behind the pixels, too; decoders do not look for it there, nor for
  // one with the prefix of a JPEG's.
  const isExif = type === 'eXIf' && !data.subarray(0, 6).equals(EXIF_PREFIX);
  if (isExif && !progress.hasExif && !progress.hasData) {
    progress.hasExif = true;
    tally.facts.orientation = readOrientation(data);
  }
  // After the first IDAT it would not be an animation: section 11.3.6.1.
  if (type === 'acTL' && !progress.hasData && data.length === 8) {
    progress.animated = true;
    tally.setFrames(Math.max(tally.facts.frames, data.readUInt32BE(0)));
  }
  if (type === 'fcTL' && progress.animated) {
    progress.frameHeaders += 1;
    if (progress.frameHeaders > tally.facts.frames) tally.setFrames(progress.frameHeaders);
  }
}

function corrupt(message: string): ContainerRefused {
  return new ContainerRefused('corrupt-file', message);
}

/** A chunk that holds these bytes. */
export function pngChunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(data.length + CHUNK_OVERHEAD);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  data.copy(bytes, PNG_HEADER_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4);
  return bytes;
}
