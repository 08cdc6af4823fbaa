import { crc32, deflateSync, inflateSync } from 'node:zlib';
import type { PictureFacts } from './container.js';
import { orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { profileIn } from './icc-profile.js';
import { KeptBytes } from './kept-bytes.js';
import { PNG_HEADER_BYTES, PNG_SIGNATURE_BYTES } from './png.js';

const CRITICAL_CHUNKS = ['IHDR', 'PLTE', 'IDAT', 'IEND'];

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
/** Kept together or not at all. */
const ANIMATION_CHUNKS = ['fcTL', 'fdAT'];
const ACTL_BYTES = 8;

const MAX_PROFILE_BYTES = 4 * 1024 * 1024;
/** Of a profile's name: section 11.3.2.3. */
const MAX_NAME_BYTES = 79;

/** A PNG without its metadata: critical chunks, and those that decide how the pixels look. */
export function stripPng(file: Buffer, facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const kept = new KeptBytes(file);
  const seen = new Set<string>();
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
    if (isKept(type, end - start - 12, seen)) kept.keep(start, end);
  });
  return kept.finish();
}

function isKept(type: string, length: number, seen: Set<string>): boolean {
  if (CRITICAL_CHUNKS.includes(type)) return true;
  if (type === 'acTL') return length === ACTL_BYTES && !seen.has('IDAT');
  if (ANIMATION_CHUNKS.includes(type)) return seen.has('acTL');
  const [least, most] = (Object.hasOwn(ANCILLARY_CHUNKS, type) && ANCILLARY_CHUNKS[type]) || [
    0, -1,
  ];
  return length >= least && length <= most;
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
