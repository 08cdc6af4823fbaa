import { CONTAINER_FORMATS, type ContainerFormat, type FormatName } from './container.js';

/** How many bytes from the start {@link detectFormat} looks at. */
export const SIGNATURE_BYTES = 512;

/** The longest of the signatures, but for the brands of an `ftyp` box. */
export const SHORT_SIGNATURE_BYTES = 12;

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** SOI and the first byte of the next marker: ITU-T T.81, annex B. */
const JPEG_SIGNATURE = Buffer.from([0xff, 0xd8, 0xff]);

/** ISO/IEC 23008-12 annex B and the AVIF specification, section 6. */
const CODEC_BRANDS: Record<string, FormatName> = {
  avif: 'avif',
  avis: 'avif',
  heic: 'heic',
  heix: 'heic',
  hevc: 'heic',
  hevx: 'heic',
  heim: 'heic',
  heis: 'heic',
};
/** Brands that say "a picture" and leave open by which codec. */
const STRUCTURAL_BRANDS = ['mif1', 'msf1', 'miaf'];

/**
 * The format of a file by its first bytes. Names and content types that clients send say nothing.
 *
 * @param start at least {@link SIGNATURE_BYTES} bytes, or the whole file when it is shorter
 * @returns undefined for any other format
 */
export function detectFormat(start: Buffer): ContainerFormat | undefined {
  if (start.subarray(0, 3).equals(JPEG_SIGNATURE)) return CONTAINER_FORMATS.jpeg;
  if (start.subarray(0, 8).equals(PNG_SIGNATURE)) return CONTAINER_FORMATS.png;
  const gifVersion = start.toString('latin1', 0, 6);
  if (gifVersion === 'GIF87a' || gifVersion === 'GIF89a') return CONTAINER_FORMATS.gif;
  // RIFF container, four bytes of length, then its form type: RFC 9649 section 2.4.
  if (start.toString('latin1', 0, 4) === 'RIFF' && start.toString('latin1', 8, 12) === 'WEBP') {
    return CONTAINER_FORMATS.webp;
  }
  const name = formatOfBrands(start);
  return name && CONTAINER_FORMATS[name];
}

/**
 * How many bytes the signature of this file takes: more than twelve only for an `ftyp` box.
 *
 * @param start at least {@link SHORT_SIGNATURE_BYTES} bytes
 */
export function signatureLength(start: Buffer): number {
  if (start.toString('latin1', 4, 8) !== 'ftyp') return SHORT_SIGNATURE_BYTES;
  return Math.min(Math.max(start.readUInt32BE(0), SHORT_SIGNATURE_BYTES), SIGNATURE_BYTES);
}

/** By the brands of the `ftyp` box: ISO/IEC 14496-12 section 4.3. */
function formatOfBrands(start: Buffer): FormatName | undefined {
  if (start.length < 16 || start.toString('latin1', 4, 8) !== 'ftyp') return undefined;
  const major = start.toString('latin1', 8, 12);
  const named = codecOf(major);
  if (named || !STRUCTURAL_BRANDS.includes(major)) return named;
  const end = Math.min(start.readUInt32BE(0), start.length, SIGNATURE_BYTES);
  for (let at = 16; at + 4 <= end; at += 4) {
    const format = codecOf(start.toString('latin1', at, at + 4));
    if (format) return format;
  }
  return undefined;
}

function codecOf(brand: string): FormatName | undefined {
  return Object.hasOwn(CODEC_BRANDS, brand) ? CODEC_BRANDS[brand] : undefined;
}
