import { crc32, deflateSync, inflateSync } from 'node:zlib';
import type { PictureFacts } from './container.js';
import { orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { profileIn } from './icc-profile.js';
import { KeptBytes } from './kept-bytes.js';
import { CRITICAL_CHUNKS, PNG_HEADER_BYTES, PNG_SIGNATURE_BYTES } from './png.js';

/** Where the header, always the first chunk, tells the colour type, and the one with a palette. */
const COLOUR_TYPE_AT = 25;
const INDEXED = 3;

/**
 * Ancillary chunks that decide how the pixels look, and how long they are, at least and at most:
 * PNG, third edition, section 11.3. Others mean nothing to decoders, and could hold anything.
 */
const ANCILLARY_CHUNKS: Record<string, [number, number]> = {
  tRNS: [1, 256],
  cHRM: [32, 32],
  gAMA: [4, 4],
  sBIT: [1, 4],
  sRGB: [1, 1],
  cICP: [4, 4],
  bKGD: [1, 6],
  pHYs: [9, 9],
};
/** Section 11.3.6. */
const ANIMATION_CHUNKS = ['acTL', 'fcTL', 'fdAT'];
const ACTL_BYTES = 8;
const FCTL_BYTES = 26;

const MAX_PROFILE_BYTES = 4 * 1024 * 1024;
/** Of a profile's name: section 11.3.2.3. */
const MAX_NAME_BYTES = 79;

/** A PNG without its metadata: critical chunks, and those that decide how the pixels look. */
export function stripPng(file: Buffer, facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const kept = new KeptBytes(file);
  const seen = new Set<string>();
  const animation = new PngAnimation();
  const isIndexed = file[COLOUR_TYPE_AT] === INDEXED;
  kept.keep(0, PNG_SIGNATURE_BYTES);
  forEachPart((start, end) => {
    const type = file.toString('latin1', start + 4, start + 8);
    const first = !seen.has(type);
    seen.add(type);
    if (type === 'iCCP') {
      if (first) kept.add(profileChunk(file.subarray(start + PNG_HEADER_BYTES, end - 4)));
      return;
    }
    if (type === 'IDAT' && first && facts.orientation !== 1) {
      kept.add(chunk('eXIf', orientationExif(facts.orientation)));
    }
    const data = file.subarray(start + PNG_HEADER_BYTES, end - 4);
    const isWanted = ANIMATION_CHUNKS.includes(type)
      ? animation.takes(type, data, seen.has('IDAT'))
      : // A palette beside pixels that have colours of their own is only a suggestion.
        isKept(type, data.length) && (type !== 'PLTE' || isIndexed);
    if (isWanted) kept.keep(start, end);
  });
  return kept.finish();
}

function isKept(type: string, length: number): boolean {
  if (CRITICAL_CHUNKS.includes(type)) return true;
  const [least, most] = (Object.hasOwn(ANCILLARY_CHUNKS, type) && ANCILLARY_CHUNKS[type]) || [
    0, -1,
  ];
  return length >= least && length <= most;
}

/** The frames of an animated PNG, as many as it announces: decoders read no more. */
class PngAnimation {
  private framesLeft = 0;
  private isInFrame = false;

  /** Whether a chunk belongs to the animation. */
  takes(type: string, data: Buffer, afterPixels: boolean): boolean {
    if (type === 'fdAT') return this.isInFrame;
    if (type === 'fcTL') {
      const isFrame = this.framesLeft > 0 && data.length === FCTL_BYTES;
      if (isFrame) this.framesLeft -= 1;
      // The pixels of the first frame may be those of the still picture.
      this.isInFrame = isFrame && afterPixels;
      return isFrame;
    }
    if (afterPixels || this.framesLeft > 0 || data.length !== ACTL_BYTES) return false;
    this.framesLeft = data.readUInt32BE(0);
    return this.framesLeft > 0;
  }
}

/**
 * The same ICC profile under a name that says nothing, compressed anew, so that nothing can hide
 * behind the end of the compressed data.
 *
 * @returns nothing for what is no profile, is damaged, or larger than four megabytes
 */
function profileChunk(data: Buffer): Buffer {
  const nameEnd = data.indexOf(0);
  if (nameEnd < 1 || nameEnd > MAX_NAME_BYTES || data[nameEnd + 1] !== 0) return Buffer.alloc(0);
  try {
    const compressed = data.subarray(nameEnd + 2);
    const profile = profileIn(inflateSync(compressed, { maxOutputLength: MAX_PROFILE_BYTES }));
    if (!profile) return Buffer.alloc(0);
    return chunk('iCCP', Buffer.concat([Buffer.from('icc\0\0', 'latin1'), deflateSync(profile)]));
  } catch {
    return Buffer.alloc(0);
  }
}

function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(data.length + 12);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  data.copy(bytes, PNG_HEADER_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4);
  return bytes;
}
