import { ContainerRefused, type FormatName } from './container.js';
import { jpegSegment, MARKER, SEGMENT_HEADER_BYTES } from './jpeg.js';
import { PNG_HEADER_BYTES, PNG_SIGNATURE_BYTES, pngChunk } from './png.js';
import type { StrippedPicture } from './strip.js';
import {
  CHUNK_HEADER_BYTES,
  extendedHeader,
  RIFF_HEADER_BYTES,
  VP8X_FLAGS,
  webpChunk,
} from './webp.js';

/** What the segment of a JPEG begins with: XMP Specification, part 3, section 1.1.3. */
const JPEG_PREFIX = Buffer.from('http://ns.adobe.com/xap/1.0/\0', 'latin1');
/** The keyword of a PNG's iTXt, not compressed, of no language: part 3, section 1.1.5. */
const PNG_PREFIX = Buffer.from('XML:com.adobe.xmp\0\0\0\0\0', 'latin1');
/** Of a lossless picture: a signature, 14 bits each for width and height, then this. RFC 9649, 3.4. */
const VP8L_ALPHA = 0x1000_0000;

type Stamp = (stripped: StrippedPicture, packet: Buffer) => Buffer;

/** Formats without one are no models' output: it would take another layout of their boxes or blocks. */
const STAMPS: Partial<Record<FormatName, Stamp>> = {
  jpeg: stampJpeg,
  png: stampPng,
  webp: stampWebp,
};

/**
 * A stripped picture with an XMP packet: the same pixels, losslessly. Stripping the result and
 * stamping it again gives the same bytes.
 *
 * @throws ContainerRefused `unsupported-type` for other formats than JPEG, PNG and WebP
 */
export function stampXmp(stripped: StrippedPicture, xmp: string): Buffer {
  const { format } = stripped.facts;
  const stamp = STAMPS[format];
  if (!stamp) throw new ContainerRefused('unsupported-type', `No XMP is written into ${format}.`);
  return stamp(stripped, Buffer.from(xmp));
}

/** Behind JFIF, which wants to be first, and EXIF, which wants to follow it. */
function stampJpeg({ picture }: StrippedPicture, packet: Buffer): Buffer {
  let at = 2;
  while ([MARKER.APP0, MARKER.APP1].some((marker) => marker === picture[at + 1])) {
    at += 2 + picture.readUInt16BE(at + SEGMENT_HEADER_BYTES - 2);
  }
  return inserted(picture, at, jpegSegment(MARKER.APP1, JPEG_PREFIX, packet));
}

/** Behind the header, which is the first chunk and has 13 bytes. */
function stampPng({ picture }: StrippedPicture, packet: Buffer): Buffer {
  const at = PNG_SIGNATURE_BYTES + PNG_HEADER_BYTES + picture.readUInt32BE(PNG_SIGNATURE_BYTES) + 4;
  return inserted(picture, at, pngChunk('iTXt', Buffer.concat([PNG_PREFIX, packet])));
}

/** The last chunk, announced by the header of the extended kind. */
function stampWebp({ facts, picture }: StrippedPicture, packet: Buffer): Buffer {
  const isExtended = picture.toString('latin1', 12, 16) === 'VP8X';
  const header = isExtended ? [] : [simpleHeader(facts, picture)];
  const stamped = Buffer.concat([
    picture.subarray(0, RIFF_HEADER_BYTES),
    ...header,
    picture.subarray(RIFF_HEADER_BYTES),
    webpChunk('XMP ', packet),
  ]);
  stamped.writeUInt32LE(stamped.length - 8, 4);
  const flagsAt = RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES;
  stamped.writeUInt8(stamped.readUInt8(flagsAt) | VP8X_FLAGS.xmp, flagsAt);
  return stamped;
}

/** For a file of the simple kind, where only lossless pictures have alpha. */
function simpleHeader(facts: StrippedPicture['facts'], picture: Buffer): Buffer {
  const header = extendedHeader(facts);
  const imageAt = RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES;
  const isLossless = picture.toString('latin1', RIFF_HEADER_BYTES, imageAt - 4) === 'VP8L';
  const hasAlpha = isLossless && (picture.readUInt32LE(imageAt + 1) & VP8L_ALPHA) !== 0;
  if (hasAlpha) header.writeUInt8(VP8X_FLAGS.alpha, CHUNK_HEADER_BYTES);
  return header;
}

function inserted(picture: Buffer, at: number, bytes: Buffer): Buffer {
  return Buffer.concat([picture.subarray(0, at), bytes, picture.subarray(at)]);
}
