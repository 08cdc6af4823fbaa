import { deflateSync, inflateSync } from 'node:zlib';
import type { PictureFacts } from './container.js';
import { orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { profileIn } from './icc-profile.js';
import { KeptBytes } from './kept-bytes.js';
import { PNG_HEADER_BYTES, PNG_SIGNATURE_BYTES, pngChunk } from './png.js';

/** Where the header, always the first chunk, tells the colour type: section 11.2.1. */
const COLOUR_TYPE_AT = 25;
const [GREY, RGB, INDEXED, GREY_ALPHA, RGBA] = [0, 2, 3, 4, 6] as const;

/** The least and the greatest length of a chunk, by colour type; without one it means nothing. */
type Lengths = Partial<Record<number, readonly [number, number]>>;

/**
 * Chunks before the pixels that decide how these look: PNG, third edition, sections 11.2 and 11.3.
 * Others could hold anything, and so could more of them. A palette beside pixels that have colours
 * of their own is only a suggestion.
 */
const CHUNKS: Record<string, Lengths> = {
  PLTE: { [INDEXED]: [3, 768] },
  tRNS: { [GREY]: [2, 2], [RGB]: [6, 6], [INDEXED]: [1, 256] },
  bKGD: { ...exactly(1, INDEXED), ...exactly(2, GREY, GREY_ALPHA), ...exactly(6, RGB, RGBA) },
  sBIT: {
    ...exactly(1, GREY),
    ...exactly(2, GREY_ALPHA),
    ...exactly(3, RGB, INDEXED),
    ...exactly(4, RGBA),
  },
  cHRM: exactly(32),
  gAMA: exactly(4),
  sRGB: exactly(1),
  cICP: exactly(4),
  pHYs: exactly(9),
};

const MAX_PROFILE_BYTES = 4 * 1024 * 1024;
/** Of a profile's name: section 11.3.2.3. */
const MAX_NAME_BYTES = 79;

/**
 * A PNG without its metadata: critical chunks, and those that decide how the pixels look. Of an
 * animated one the first picture stays: no other is decoded, so nobody knows what the rest is.
 */
export function stripPng(file: Buffer, facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const kept = new KeptBytes(file);
  const seen = new Set<string>();
  let last = '';
  kept.keep(0, PNG_SIGNATURE_BYTES);
  forEachPart((start, end) => {
    const type = file.toString('latin1', start + 4, start + 8);
    const data = file.subarray(start + PNG_HEADER_BYTES, end - 4);
    if (type === 'IDAT' && !seen.has('IDAT') && facts.orientation !== 1) {
      kept.add(pngChunk('eXIf', orientationExif(facts.orientation)));
    }
    if (type === 'iCCP' && !seen.has('iCCP') && !seen.has('IDAT')) {
      // One alone is inflated, also when it is damaged: thousands would keep the decoder busy.
      seen.add('iCCP');
      const profile = profileOf(data);
      if (profile) kept.add(pngChunk('iCCP', profile));
    } else if (isKept(type, data.length, file[COLOUR_TYPE_AT] ?? 0, seen, last)) {
      kept.keep(start, end);
      seen.add(type);
    }
    last = type;
  });
  return kept.finish();
}

/** @param types all when none is named */
function exactly(length: number, ...types: number[]): Lengths {
  const all = types.length > 0 ? types : [GREY, RGB, INDEXED, GREY_ALPHA, RGBA];
  return Object.fromEntries(all.map((type) => [type, [length, length]]));
}

/** @param last the type of the chunk before */
function isKept(
  type: string,
  length: number,
  colourType: number,
  seen: ReadonlySet<string>,
  last: string,
): boolean {
  if (type === 'IHDR' || type === 'IEND') return true;
  // Pixels lie in chunks that follow one another; behind a gap, decoders read none.
  if (type === 'IDAT') return !seen.has('IDAT') || last === 'IDAT';
  if (seen.has(type) || seen.has('IDAT') || !Object.hasOwn(CHUNKS, type)) return false;
  const [least, most] = CHUNKS[type]?.[colourType] ?? [1, 0];
  return length >= least && length <= most;
}

/**
 * The content of a chunk with the same ICC profile under a name that says nothing, compressed anew,
 * so that nothing can hide behind the end of the compressed data.
 *
 * @returns nothing for what is no profile, is damaged, or larger than four megabytes
 */
function profileOf(data: Buffer): Buffer | undefined {
  const nameEnd = data.indexOf(0);
  if (nameEnd < 1 || nameEnd > MAX_NAME_BYTES || data[nameEnd + 1] !== 0) return undefined;
  try {
    const compressed = data.subarray(nameEnd + 2);
    const profile = profileIn(inflateSync(compressed, { maxOutputLength: MAX_PROFILE_BYTES }));
    return profile && Buffer.concat([Buffer.from('icc\0\0', 'latin1'), deflateSync(profile)]);
  } catch {
    return undefined;
  }
}
