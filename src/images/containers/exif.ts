import type { Orientation } from './container.js';

/** Stands before the TIFF header in a JPEG's APP1, and by mistake in some WebP files. */
export const EXIF_PREFIX = Buffer.from('Exif\0\0', 'latin1');

/** How much of an EXIF block is looked at: what fits into a JPEG's segment. */
export const MAX_EXIF_BYTES = 65_535;

const ORIENTATION_TAG = 0x0112;
const TYPE_SHORT = 3;
const TYPE_LONG = 4;
const ENTRY_BYTES = 12;

/**
 * The orientation that an EXIF block tells: Exif 2.32 section 4.6, TIFF 6.0 section 2.
 *
 * @param exif a TIFF header and what follows it, with or without `Exif\0\0` before it
 * @returns 1 for anything that makes no sense
 */
export function readOrientation(exif: Buffer): Orientation {
  const tiff = exif.subarray(0, 6).equals(EXIF_PREFIX) ? exif.subarray(6) : exif;
  const mark = tiff.toString('latin1', 0, 2);
  if (tiff.length < 8 || (mark !== 'II' && mark !== 'MM')) return 1;
  const little = mark === 'II';
  const uint16 = (at: number) => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const uint32 = (at: number) => (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));

  const directory = uint32(4);
  if (uint16(2) !== 42 || directory + 2 > tiff.length) return 1;
  const first = directory + 2;
  const last = Math.min(first + uint16(directory) * ENTRY_BYTES, tiff.length) - ENTRY_BYTES;
  for (let entry = first; entry <= last; entry += ENTRY_BYTES) {
    if (uint16(entry) !== ORIENTATION_TAG) continue;
    const type = uint16(entry + 2);
    if (uint32(entry + 4) === 0) return 1;
    if (type === TYPE_SHORT) return orientationOf(uint16(entry + 8));
    return type === TYPE_LONG ? orientationOf(uint32(entry + 8)) : 1;
  }
  return 1;
}

/** The smallest EXIF block, without a prefix: one directory with one entry. */
export function orientationExif(orientation: Orientation): Buffer {
  const tiff = Buffer.alloc(26);
  tiff.write('MM\0*', 'latin1');
  tiff.writeUInt32BE(8, 4);
  tiff.writeUInt16BE(1, 8);
  tiff.writeUInt16BE(ORIENTATION_TAG, 10);
  tiff.writeUInt16BE(TYPE_SHORT, 12);
  tiff.writeUInt32BE(1, 14);
  tiff.writeUInt16BE(orientation, 18);
  return tiff;
}

function orientationOf(value: number): Orientation {
  return value >= 1 && value <= 8 ? (value as Orientation) : 1;
}
