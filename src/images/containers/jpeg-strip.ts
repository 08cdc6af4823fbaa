import type { Orientation, PictureFacts } from './container.js';
import { EXIF_PREFIX, orientationExif } from './exif.js';
import type { ForEachPart } from './format-walk.js';
import { isFrame, jpegSegment, MARKER } from './jpeg.js';
import { JpegProfile } from './jpeg-profile.js';
import { KeptBytes } from './kept-bytes.js';

/** Markers whose segments are kept as they are. */
const KEPT_MARKERS: readonly number[] = [
  MARKER.SOI,
  MARKER.DQT,
  MARKER.DHT,
  MARKER.DAC,
  MARKER.DRI,
  MARKER.SOS,
  MARKER.EOI,
];

/** A marker, the length, "JFIF\0", version, units, densities, and no thumbnail: JFIF 1.02. */
const JFIF_BYTES = 18;
/** A marker, the length, "Adobe", version, two sets of flags and the colour transform. */
const ADOBE_BYTES = 16;
/** A marker, the length and the number of lines. */
const DNL_BYTES = 6;

/**
 * A JPEG without its metadata: of the application segments, JFIF stays without its thumbnail, the
 * ICC profile stays, and Adobe's, which says how the colours are coded.
 */
export function stripJpeg(file: Buffer, facts: PictureFacts, forEachPart: ForEachPart): Buffer {
  const kept = new KeptBytes(file);
  const profile = new JpegProfile();
  let atStart = true;
  let inScans = false;
  forEachPart((start, end) => {
    const marker = file[start + 1] ?? 0;
    profile.see(file.subarray(start, end));
    // Decoders look for the profile before the first scan.
    if (marker === MARKER.SOS && !inScans) {
      inScans = true;
      for (const segment of profile.segments()) kept.add(segment);
    }
    const jfif = marker === MARKER.APP0 ? jfifOf(file.subarray(start, end)) : undefined;
    // JFIF wants to be first, so the orientation comes right after it.
    if (atStart && isKept(file, start, end) && marker !== MARKER.SOI) {
      atStart = jfif !== undefined;
      if (!jfif) addOrientation(kept, facts.orientation);
    }
    if (jfif) kept.add(jfif);
    else if (marker === MARKER.APP14) kept.add(adobeOf(file.subarray(start, end)));
    else if (isKept(file, start, end)) kept.keep(start, end);
  });
  return kept.finish();
}

function isKept(file: Buffer, start: number, end: number): boolean {
  const marker = file[start + 1] ?? 0;
  if (KEPT_MARKERS.includes(marker) || isFrame(marker)) return true;
  const content = file.toString('latin1', start + 4, Math.min(start + 16, end));
  if (marker === MARKER.APP0) return content.startsWith('JFIF\0') && end - start >= JFIF_BYTES;
  if (marker === MARKER.APP14) return content.startsWith('Adobe') && end - start >= ADOBE_BYTES;
  return marker === MARKER.DNL && end - start === DNL_BYTES;
}

function jfifOf(segment: Buffer): Buffer | undefined {
  if (!isKept(segment, 0, segment.length)) return undefined;
  const jfif = Buffer.from(segment.subarray(0, JFIF_BYTES));
  jfif.writeUInt16BE(JFIF_BYTES - 2, 2);
  // The size of the thumbnail, which is left out.
  jfif.writeUInt16BE(0, 16);
  return jfif;
}

function adobeOf(segment: Buffer): Buffer {
  if (!isKept(segment, 0, segment.length)) return Buffer.alloc(0);
  const adobe = Buffer.from(segment.subarray(0, ADOBE_BYTES));
  adobe.writeUInt16BE(ADOBE_BYTES - 2, 2);
  return adobe;
}

function addOrientation(kept: KeptBytes, orientation: Orientation): void {
  if (orientation === 1) return;
  kept.add(jpegSegment(MARKER.APP1, EXIF_PREFIX, orientationExif(orientation)));
}
