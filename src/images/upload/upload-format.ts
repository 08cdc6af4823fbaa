/** The formats that an upload may have. */
export const UPLOAD_FORMATS = {
  jpeg: { name: 'jpeg', extension: 'jpg', mimeType: 'image/jpeg' },
  png: { name: 'png', extension: 'png', mimeType: 'image/png' },
  webp: { name: 'webp', extension: 'webp', mimeType: 'image/webp' },
} as const;

export type UploadFormat = (typeof UPLOAD_FORMATS)[keyof typeof UPLOAD_FORMATS];

/** How many bytes from the start {@link detectFormat} looks at. */
export const SIGNATURE_BYTES = 12;

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** SOI and the first byte of the next marker: ITU-T T.81, annex B. */
const JPEG_SIGNATURE = Buffer.from([0xff, 0xd8, 0xff]);

/**
 * The format of a file by its first bytes. Names and content types that clients send say nothing.
 *
 * @param start at least {@link SIGNATURE_BYTES} bytes, or the whole file when it is shorter
 * @returns undefined for any other format
 */
export function detectFormat(start: Buffer): UploadFormat | undefined {
  if (start.subarray(0, 3).equals(JPEG_SIGNATURE)) return UPLOAD_FORMATS.jpeg;
  if (start.subarray(0, 8).equals(PNG_SIGNATURE)) return UPLOAD_FORMATS.png;
  // RIFF container, four bytes of length, then its form type: RFC 9649 section 2.4.
  if (start.toString('latin1', 0, 4) === 'RIFF' && start.toString('latin1', 8, 12) === 'WEBP') {
    return UPLOAD_FORMATS.webp;
  }
  return undefined;
}
