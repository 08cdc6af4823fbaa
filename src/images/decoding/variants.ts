import type { ContainerRefusalCode, FormatName, PictureLimits } from '../containers/container.js';

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

/** The formats of variants: WebP for everyone, AVIF for clients that accept it. */
export const VARIANT_FORMATS = { webp: 'image/webp', avif: 'image/avif' } as const;

export type VariantFormat = keyof typeof VARIANT_FORMATS;

export interface DecodeTask extends PictureLimits {
  /** Path of the file to decode. */
  input: string;
  /**
   * An existing folder that receives the files that are made. After an error it may hold some of
   * them, whole or cut off: only the result says that they are complete.
   */
  outputFolder: string;
  /** WebP quality of the variants, from 1 to 100. */
  quality: number;
  /** CPU spent on each WebP variant, from 0 (fastest) to 6 (smallest). */
  effort: number;
  /** Whether each variant is made as AVIF, too; animations are not. */
  avif: boolean;
  /** A packet that all files are to carry, the only metadata there is; none for what people upload. */
  xmp?: string | undefined;
}

/** A file in the output folder of a task. */
export interface MadeFile {
  path: string;
  bytes: number;
  /** SHA-256 in hex. */
  checksum: string;
  /** As a viewer shows it, in pixels: upright. */
  width: number;
  height: number;
}

export interface DecodedVariant extends MadeFile {
  name: VariantName;
  format: VariantFormat;
}

/** The file without its metadata: the same pixels, its ICC profile and its orientation. */
export interface StrippedOriginal extends MadeFile {
  format: FormatName;
}

export interface DecodeResult {
  /** Without metadata but the task's, losslessly. */
  original: StrippedOriginal;
  /** All of {@link VARIANTS} as WebP, largest first, then as AVIF when the task asks for it. */
  variants: DecodedVariant[];
  /** 1 for a still picture; animations are kept. */
  frames: number;
  hasAlpha: boolean;
  /** The ThumbHash of the picture, in base64: at most 25 bytes. */
  placeholder: string;
  /** `#rrggbb`, in lower case. */
  dominantColor: string;
}

/** `undecodable`: damage that only decoding shows. The others are what the structure shows. */
export type RefusalCode = 'undecodable' | ContainerRefusalCode;

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
