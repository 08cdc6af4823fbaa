import { ContainerRefused } from './container.js';
import type { ByteInput } from './byte-input.js';
import { EXIF_PREFIX, readOrientation } from './exif.js';
import type { PartVisitor } from './format-walk.js';
import type { PictureTally } from './tally.js';

/** Markers: ITU-T T.81, table B.1. */
export const MARKER = {
  TEM: 0x01,
  SOF0: 0xc0,
  SOF1: 0xc1,
  SOF2: 0xc2,
  DHT: 0xc4,
  JPG: 0xc8,
  SOF9: 0xc9,
  SOF10: 0xca,
  DAC: 0xcc,
  SOF15: 0xcf,
  RST0: 0xd0,
  RST7: 0xd7,
  SOI: 0xd8,
  EOI: 0xd9,
  SOS: 0xda,
  DQT: 0xdb,
  DNL: 0xdc,
  DRI: 0xdd,
  APP0: 0xe0,
  APP1: 0xe1,
  APP2: 0xe2,
  APP14: 0xee,
  APP15: 0xef,
  COM: 0xfe,
} as const;

/** Of a segment: its marker and its length. */
export const SEGMENT_HEADER_BYTES = 4;

/**
 * Baseline, extended and progressive, by Huffman or arithmetic coding: what the libjpeg-turbo of
 * the decoding children reads as 8 bits. Lossless ones it might read, but no browser shows them.
 */
const DECODED_FRAMES: readonly number[] = [
  MARKER.SOF0,
  MARKER.SOF1,
  MARKER.SOF2,
  MARKER.SOF9,
  MARKER.SOF10,
];
export const PROGRESSIVE_FRAMES: readonly number[] = [MARKER.SOF2, MARKER.SOF10];

/**
 * Each scan of a progressive picture is a pass over all its pixels. Encoders write about ten;
 * thousands of empty ones are an attack on the decoder's time.
 */
const MAX_SCANS = 500;
/** A marker, the length, the number of components, and what tells the spectral selection. */
const SOS_BYTES = 8;

interface Progress {
  orientationSeen: boolean;
  frameSeen: boolean;
  scans: number;
}

/**
 * A JPEG: ITU-T T.81, annex B. Its parts are the marker segments, and each scan with its data.
 *
 * As libjpeg does, it passes over bytes between segments that belong to none.
 */
export function* walkJpeg(
  input: ByteInput,
  tally: PictureTally,
  visit: PartVisitor,
): Generator<undefined, void> {
  const progress: Progress = { orientationSeen: false, frameSeen: false, scans: 0 };
  input.skip(2);
  visit(0, 2);
  for (;;) {
    while (!toMarker(input)) yield;
    const start = input.position;
    const marker = input.byte(1);
    tally.countPart();
    if (marker === MARKER.EOI) {
      if (progress.scans === 0) throw corrupt('The JPEG has no scan.');
      visit(start, start + 2);
      return;
    }
    checkMarker(marker);
    while (!input.has(4)) yield;
    const length = 2 + ((input.byte(2) << 8) | input.byte(3));
    if (length < 4) throw corrupt('A segment of the JPEG is shorter than its own length.');
    if (isRead(marker, progress)) {
      while (!input.has(length)) yield;
      readSegment(marker, input.peek(length), progress, tally);
    }
    input.skip(length);
    if (marker === MARKER.SOS) {
      countScan(progress);
      // Its data goes on to the next marker.
      while (!toMarker(input)) yield;
    }
    visit(start, input.position);
  }
}

/** Moves to the next marker, from wherever it is. */
function toMarker(input: ByteInput): boolean {
  while (input.has(2)) {
    if (input.byte(0) === 0xff && !isPassedOver(input.byte(1))) return true;
    const bytes = input.unread();
    const marker = findMarker(bytes);
    if (marker !== -1) input.skip(marker);
    // A last 0xFF may be the first half of a marker.
    else input.skip(bytes.at(-1) === 0xff ? bytes.length - 1 : bytes.length);
  }
  return false;
}

/** @returns where the first marker begins, or -1 */
function findMarker(bytes: Buffer): number {
  const last = bytes.length - 1;
  let at = 0;
  while (at < last) {
    if (bytes[at] !== 0xff) {
      at = bytes.indexOf(0xff, at);
      if (at === -1 || at === last) return -1;
    }
    const next = bytes[at + 1] ?? 0;
    if (!isPassedOver(next)) return at;
    // After a fill byte comes another, or the marker.
    at += next === 0xff ? 1 : 2;
  }
  return -1;
}

/**
 * What follows 0xFF without being the marker of a segment: a stuffed zero, a fill byte, and the
 * markers that stand alone. Inside of a scan these are its data; elsewhere libjpeg ignores them.
 */
function isPassedOver(byte: number): boolean {
  return (
    byte === 0 ||
    byte === 0xff ||
    byte === MARKER.TEM ||
    (byte >= MARKER.RST0 && byte <= MARKER.RST7)
  );
}

/** Start of frame, of whatever coding: SOF0 to SOF15 without DHT, JPG and DAC. */
export function isFrame(marker: number): boolean {
  return (
    marker >= MARKER.SOF0 &&
    marker <= MARKER.SOF15 &&
    marker !== MARKER.DHT &&
    marker !== MARKER.JPG &&
    marker !== MARKER.DAC
  );
}

/** Refuses what libjpeg refuses: a second SOI, and markers that only other codings have. */
function checkMarker(marker: number): void {
  if (marker === MARKER.SOI) throw corrupt('The JPEG begins a second time.');
  if (isFrame(marker) || marker === MARKER.DHT || marker === MARKER.DAC) return;
  if (marker >= MARKER.SOS && marker <= MARKER.DRI) return;
  if (marker >= MARKER.APP0 && marker <= MARKER.APP15) return;
  if (marker === MARKER.COM) return;
  throw corrupt(`The JPEG has a marker ${marker.toString(16)}, which no picture has.`);
}

function isRead(marker: number, progress: Progress): boolean {
  // After the first scan, decoders look for no EXIF.
  const mayHaveExif = !progress.orientationSeen && progress.scans === 0;
  return isFrame(marker) || marker === MARKER.SOS || (marker === MARKER.APP1 && mayHaveExif);
}

function readSegment(
  marker: number,
  segment: Buffer,
  progress: Progress,
  tally: PictureTally,
): void {
  if (isFrame(marker)) {
    if (progress.frameSeen) throw corrupt('The JPEG has a second frame header.');
    progress.frameSeen = true;
    readFrame(marker, segment, tally);
  } else if (marker === MARKER.SOS) {
    // ITU-T T.81, section B.2.3: two bytes for each component.
    const isSound = segment.length === SOS_BYTES + 2 * (segment[4] ?? 0);
    if (!isSound) throw corrupt('A scan header of the JPEG has a wrong length.');
  } else if (segment.subarray(4, 10).equals(EXIF_PREFIX)) {
    // Of several EXIF blocks, decoders read the first.
    progress.orientationSeen = true;
    tally.facts.orientation = readOrientation(segment.subarray(4));
  }
}

/** ITU-T T.81, section B.2.2. A height of zero, to be told by DNL, is not known to libjpeg. */
function readFrame(marker: number, segment: Buffer, tally: PictureTally): void {
  if (!DECODED_FRAMES.includes(marker)) {
    throw new ContainerRefused(
      'unsupported-type',
      'Lossless and hierarchical JPEGs are not decoded.',
    );
  }
  const components = segment[9] ?? 0;
  if (components === 0 || segment.length !== 10 + 3 * components) {
    throw corrupt('The frame header of the JPEG has a wrong length.');
  }
  if (segment[4] !== 8) {
    throw new ContainerRefused('unsupported-type', 'JPEGs of other than 8 bits are not decoded.');
  }
  tally.facts.progressive = PROGRESSIVE_FRAMES.includes(marker);
  tally.setSize(segment.readUInt16BE(7), segment.readUInt16BE(5));
}

function countScan(progress: Progress): void {
  if (!progress.frameSeen) throw corrupt('The JPEG has a scan before its frame header.');
  progress.scans += 1;
  if (progress.scans > MAX_SCANS) throw corrupt(`The JPEG has more than ${MAX_SCANS} scans.`);
}

function corrupt(message: string): ContainerRefused {
  return new ContainerRefused('corrupt-file', message);
}

/** A marker segment that holds so much: at most 65,533 bytes. */
export function jpegSegment(marker: number, ...content: Buffer[]): Buffer {
  const data = Buffer.concat(content);
  const header = Buffer.from([0xff, marker, 0, 0]);
  header.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([header, data]);
}
