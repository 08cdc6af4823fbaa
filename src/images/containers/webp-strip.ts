import type { PictureFacts } from './container.js';
import { orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { profileIn } from './icc-profile.js';
import { KeptBytes } from './kept-bytes.js';
import {
  ANMF_HEADER_BYTES,
  CHUNK_HEADER_BYTES,
  extendedHeader,
  isImage,
  RIFF_HEADER_BYTES,
  VP8X_FLAGS,
  webpChunk,
} from './webp.js';

/** The background colour, and how often an animation is repeated: RFC 9649, section 2.7.1.1. */
const ANIM_BYTES = 6;
/** How a frame is blended and disposed of: section 2.7.1.1, too. */
const FRAME_FLAGS = 0x03;

/** Where a chunk begins and ends, in the file. */
type ChunkRange = [start: number, end: number];

/**
 * A WebP without its metadata: pictures, frames and the ICC profile, with a header that announces
 * these. A file of the simple kind has no header, and no place for an orientation either.
 */
export function stripWebp(file: Buffer, facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const kept = new KeptBytes(file);
  const seen = new Set<string>();
  let alpha: ChunkRange | undefined;
  const isExtended = file.toString('latin1', 12, 16) === 'VP8X';
  let flags = isExtended ? keptFlags(file) : 0;
  const hasProfile = isExtended && (flagsOf(file) & VP8X_FLAGS.icc) !== 0;
  const animated = (flags & VP8X_FLAGS.animation) !== 0;
  kept.keep(0, RIFF_HEADER_BYTES);
  // Its flags are set when it is known what was kept.
  if (isExtended) kept.add(extendedHeader(facts));
  forEachPart((start, end) => {
    const type = file.toString('latin1', start, start + 4);
    const kind = isImage(type) ? 'image' : type;
    if (type === 'ANMF' && animated) keepFrame(kept, file, start, end);
    else if (type === 'ICCP' && hasProfile && !seen.has(kind))
      flags |= keepProfile(kept, file, start, end);
    else if (type === 'ANIM' && animated && !seen.has(kind)) keepLoop(kept, file, start, end);
    else if (type === 'ALPH') alpha = flags & VP8X_FLAGS.alpha ? [start, end] : undefined;
    else if (kind === 'image' && !animated && !seen.has(kind)) {
      for (const range of pictureOf(type, [start, end], alpha)) keepChunk(kept, ...range);
    }
    seen.add(kind);
  });
  if (facts.orientation !== 1) {
    kept.add(webpChunk('EXIF', orientationExif(facts.orientation)));
    flags |= VP8X_FLAGS.exif;
  }
  const picture = kept.finish();
  picture.writeUInt32LE(picture.length - 8, 4);
  if (isExtended) picture[RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES] = flags;
  return picture;
}

/** The chunks of a picture: lossy ones have their alpha in a chunk of its own before them. */
function pictureOf(type: string, image: ChunkRange, alpha: ChunkRange | undefined): ChunkRange[] {
  return alpha && type === 'VP8 ' ? [alpha, image] : [image];
}

function flagsOf(file: Buffer): number {
  return file[RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES] ?? 0;
}

function keptFlags(file: Buffer): number {
  return flagsOf(file) & (VP8X_FLAGS.alpha | VP8X_FLAGS.animation);
}

function keepChunk(kept: KeptBytes, start: number, end: number): void {
  kept.keep(start, end);
  if ((end - start) % 2 === 1) kept.add(Buffer.alloc(1));
}

function keepLoop(kept: KeptBytes, file: Buffer, start: number, end: number): void {
  const data = file.subarray(start + CHUNK_HEADER_BYTES, end);
  if (data.length >= ANIM_BYTES) kept.add(webpChunk('ANIM', data.subarray(0, ANIM_BYTES)));
}

/** @returns the flag that announces it */
function keepProfile(kept: KeptBytes, file: Buffer, start: number, end: number): number {
  const profile = profileIn(file.subarray(start + CHUNK_HEADER_BYTES, end));
  if (!profile) return 0;
  kept.add(webpChunk('ICCP', profile));
  return VP8X_FLAGS.icc;
}

/** Of a frame, its place, and its picture with the alpha that belongs to it. */
function keepFrame(kept: KeptBytes, file: Buffer, start: number, end: number): void {
  const chunks = pictureOfFrame(file, start + CHUNK_HEADER_BYTES + ANMF_HEADER_BYTES, end);
  const padded = (length: number) => length + (length % 2);
  const length = chunks.reduce((sum, [from, to]) => sum + padded(to - from), ANMF_HEADER_BYTES);
  const header = Buffer.from(file.subarray(start, start + CHUNK_HEADER_BYTES + ANMF_HEADER_BYTES));
  header.writeUInt32LE(length, 4);
  // The rest of its last byte is reserved.
  header.writeUInt8((header.at(-1) ?? 0) & FRAME_FLAGS, header.length - 1);
  kept.add(header);
  for (const [from, to] of chunks) keepChunk(kept, from, to);
}

function pictureOfFrame(file: Buffer, first: number, end: number): ChunkRange[] {
  let alpha: ChunkRange | undefined;
  for (let at = first; end - at >= CHUNK_HEADER_BYTES;) {
    const type = file.toString('latin1', at, at + 4);
    const chunkEnd = at + CHUNK_HEADER_BYTES + file.readUInt32LE(at + 4);
    if (isImage(type)) return pictureOf(type, [at, chunkEnd], alpha);
    if (type === 'ALPH') alpha ??= [at, chunkEnd];
    at = chunkEnd + ((chunkEnd - at) % 2);
  }
  return [];
}
