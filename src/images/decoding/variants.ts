/**
 * What decoding makes of an upload, as the parent and its decoding children share it.
 *
 * It loads nothing, so that the API can name the variants without loading libvips.
 */

/**
 * The variants by their longest side in pixels, largest first: each is made from the one before.
 * A picture is never enlarged, and every picture has all of them, however small it is.
 */
export const VARIANTS = { large: 2048, medium: 1024, thumbnail: 320 } as const;

export type VariantName = keyof typeof VARIANTS;

/** The names of {@link VARIANTS}, largest first. */
export const VARIANT_NAMES = Object.keys(VARIANTS) as VariantName[];

/** The formats that are decoded; the children block every other loader. */
export const DECODED_FORMATS = ['jpeg', 'png', 'webp'] as const;

export type DecodedFormat = (typeof DECODED_FORMATS)[number];

export interface DecodeTask {
  /** Path of the file to decode. */
  input: string;
  /**
   * An existing folder that receives one file for each variant. After an error it may hold some of
   * them, whole or cut off: only the result says that they are complete.
   */
  outputFolder: string;
  /** The most pixels (width times height) that the picture may have, at least 1. */
  maxPixels: number;
  /** WebP quality of the variants, from 1 to 100. */
  quality: number;
  /** CPU spent on each variant, from 0 (fastest) to 6 (smallest). */
  effort: number;
}

export interface DecodedVariant {
  name: VariantName;
  /** Path of the WebP file, in the task's output folder. */
  path: string;
  width: number;
  height: number;
  bytes: number;
}

export interface DecodeResult {
  format: DecodedFormat;
  /** Width of the original in pixels once it stands upright. */
  width: number;
  /** Height of the original in pixels once it stands upright. */
  height: number;
  hasAlpha: boolean;
  /** All of {@link VARIANTS}, largest first. */
  variants: DecodedVariant[];
}

/** `undecodable`: corrupt, cut off, or of a format that is not decoded. */
export type RefusalCode = 'undecodable' | 'too-many-pixels';

/** The file itself is at fault: trying again cannot help. The message is for logs. */
export class DecodeRefused extends Error {
  override readonly name = 'DecodeRefused';
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What a child answers to a {@link DecodeTask}. */
export type DecodeReply =
  | { result: DecodeResult }
  | { refusal: { code: RefusalCode; message: string } }
  | { failure: { message: string; stack?: string; code?: string } };
