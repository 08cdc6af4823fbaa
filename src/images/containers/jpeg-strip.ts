import type { Orientation, PictureFacts } from './container.js';
import { EXIF_PREFIX, orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { isFrame, jpegSegment, MARKER, PROGRESSIVE_FRAMES } from './jpeg.js';
import { JpegProfile } from './jpeg-profile.js';
import { JpegTables } from './jpeg-tables.js';
import { KeptBytes } from './kept-bytes.js';

/** A marker, the length, "JFIF\0", version, units, densities, and no thumbnail: JFIF 1.02. */
const JFIF_BYTES = 18;
/** A marker, the length, "Adobe", version, two sets of flags and the colour transform. */
const ADOBE_BYTES = 16;
const ADOBE_FLAGS_AT = 11;
/** A marker, the length and the number of lines. */
const DNL_BYTES = 6;

/**
 * A JPEG without its metadata: of the application segments, JFIF stays without its thumbnail, the
 * ICC profile stays, and Adobe's, which says how the colours are coded; of tables, those that a scan
 * uses.
 */
export function stripJpeg(file: Buffer, facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const header = new JpegHeader(file);
  const tables = new JpegTables(file);
  const kept = new KeptBytes(file);
  let scans = 0;
  forEachPart((start, end) => {
    const marker = file[start + 1] ?? 0;
    if (marker === MARKER.SOS) {
      if (scans > 0 && header.isOneScan) return;
      if (scans === 0) header.write(kept, facts.orientation);
      for (const segment of tables.take()) kept.keep(segment.start, segment.end);
      kept.keep(start, end);
      header.sawScan(start);
      scans += 1;
    } else if (marker === MARKER.EOI || marker === MARKER.DNL) {
      const isWhole = marker === MARKER.EOI || end - start === DNL_BYTES;
      if (scans > 0 && isWhole) kept.keep(start, end);
    } else if (!tables.see(start, end) && scans === 0) {
      header.see(start, end);
    }
  });
  return kept.finish();
}

/** What stands before the first scan, but for the tables: decoders read none of it after that. */
class JpegHeader {
  private readonly file: Buffer;
  private readonly profile = new JpegProfile();
  private jfif = Buffer.alloc(0);
  private adobe = Buffer.alloc(0);
  private frame: { start: number; end: number } | undefined;
  /** Of a picture that is not progressive, whether its first scan has all of it. */
  isOneScan = false;

  constructor(file: Buffer) {
    this.file = file;
  }

  see(start: number, end: number): void {
    const segment = this.file.subarray(start, end);
    const marker = segment[1] ?? 0;
    this.profile.see(segment);
    if (isFrame(marker)) this.frame = { start, end };
    if (marker === MARKER.APP0 && this.jfif.length === 0) this.jfif = jfifOf(segment);
    // Of several, decoders use the last.
    const adobe = marker === MARKER.APP14 ? adobeOf(segment) : undefined;
    if (adobe) this.adobe = adobe;
  }

  /** JFIF wants to be first. */
  write(kept: KeptBytes, orientation: Orientation): void {
    kept.keep(0, 2);
    kept.add(this.jfif);
    addOrientation(kept, orientation);
    kept.add(this.adobe);
    for (const segment of this.profile.segments()) kept.add(segment);
    if (this.frame) kept.keep(this.frame.start, this.frame.end);
  }

  /** @param scan where its segment begins */
  sawScan(scan: number): void {
    const frame = this.frame?.start ?? 0;
    const isProgressive = PROGRESSIVE_FRAMES.includes(this.file[frame + 1] ?? 0);
    this.isOneScan ||= !isProgressive && this.file[scan + 4] === this.file[frame + 9];
  }
}

function jfifOf(segment: Buffer): Buffer<ArrayBuffer> {
  const isJfif = segment.toString('latin1', 4, 9) === 'JFIF\0' && segment.length >= JFIF_BYTES;
  if (!isJfif) return Buffer.alloc(0);
  const jfif = Buffer.from(segment.subarray(0, JFIF_BYTES));
  jfif.writeUInt16BE(JFIF_BYTES - 2, 2);
  // The size of the thumbnail, which is left out.
  jfif.writeUInt16BE(0, 16);
  return jfif;
}

function adobeOf(segment: Buffer): Buffer<ArrayBuffer> | undefined {
  const isAdobe = segment.toString('latin1', 4, 9) === 'Adobe' && segment.length >= ADOBE_BYTES;
  if (!isAdobe) return undefined;
  const adobe = Buffer.from(segment.subarray(0, ADOBE_BYTES));
  adobe.writeUInt16BE(ADOBE_BYTES - 2, 2);
  // The flags mean nothing to decoders.
  adobe.fill(0, ADOBE_FLAGS_AT, ADOBE_BYTES - 1);
  return adobe;
}

function addOrientation(kept: KeptBytes, orientation: Orientation): void {
  if (orientation === 1) return;
  kept.add(jpegSegment(MARKER.APP1, EXIF_PREFIX, orientationExif(orientation)));
}
