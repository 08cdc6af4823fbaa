/** As much of EXIF as it takes to look for positions: TIFF 6.0 section 2, Exif 2.32 section 4.6. */

const PREFIX = 'Exif\0\0';
const ORIENTATION = 0x0112;
const GPS_POINTER = 0x8825;
const LATITUDE = 2;
const LONGITUDE = 4;
const ENTRY_BYTES = 12;
/** Degrees, minutes and seconds, each two numbers of four bytes. */
const POSITION_BYTES = 24;

interface Tiff {
  data: Buffer;
  isLittleEndian: boolean;
}

interface Directory {
  /** Where the value of each tag stands, or the offset of the value. */
  entries: Map<number, number>;
  next: number;
}

/** Whether there is nothing but the orientation: no other tag, no second directory. */
export function holdsOrientationOnly(exif: Buffer): boolean {
  const tiff = open(exif);
  const { entries, next } = directory(tiff, word(tiff, 4));
  return next === 0 && [...entries.keys()].every((tag) => tag === ORIENTATION);
}

/** The latitude and the longitude as they stand in the file, byte by byte; none without GPS. */
export function positionBytes(exif: Buffer): Buffer[] {
  const tiff = open(exif);
  const pointer = directory(tiff, word(tiff, 4)).entries.get(GPS_POINTER);
  if (pointer === undefined) return [];
  const { entries } = directory(tiff, word(tiff, pointer));
  return [LATITUDE, LONGITUDE].flatMap((tag) => {
    const value = entries.get(tag);
    if (value === undefined) return [];
    const at = word(tiff, value);
    const bytes = tiff.data.subarray(at, at + POSITION_BYTES);
    // A row of zeros stands in every file.
    return bytes.some((byte) => byte !== 0) ? [bytes] : [];
  });
}

function open(exif: Buffer): Tiff {
  const hasPrefix = exif.toString('latin1', 0, PREFIX.length) === PREFIX;
  const data = hasPrefix ? exif.subarray(PREFIX.length) : exif;
  return { data, isLittleEndian: data.toString('latin1', 0, 2) === 'II' };
}

function directory(tiff: Tiff, at: number): Directory {
  const count = half(tiff, at);
  const entries = new Map<number, number>();
  for (let index = 0; index < count; index += 1) {
    const entry = at + 2 + index * ENTRY_BYTES;
    entries.set(half(tiff, entry), entry + 8);
  }
  return { entries, next: word(tiff, at + 2 + count * ENTRY_BYTES) };
}

function half({ data, isLittleEndian }: Tiff, at: number): number {
  return isLittleEndian ? data.readUInt16LE(at) : data.readUInt16BE(at);
}

function word({ data, isLittleEndian }: Tiff, at: number): number {
  return isLittleEndian ? data.readUInt32LE(at) : data.readUInt32BE(at);
}
