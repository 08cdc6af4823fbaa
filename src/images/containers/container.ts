/**
 * What is read from the structure of a picture's file, without decoding a pixel.
 *
 * Nothing here loads libvips, so the API can walk a file while it streams. The decoding children
 * run these modules, too, and in tests from their sources: they hold only TypeScript that can be erased.
 */

/** The formats that are taken, as the bytes tell them. */
export const CONTAINER_FORMATS = {
  jpeg: { name: 'jpeg', extension: 'jpg', mimeType: 'image/jpeg' },
  png: { name: 'png', extension: 'png', mimeType: 'image/png' },
  webp: { name: 'webp', extension: 'webp', mimeType: 'image/webp' },
  gif: { name: 'gif', extension: 'gif', mimeType: 'image/gif' },
  avif: { name: 'avif', extension: 'avif', mimeType: 'image/avif' },
  heic: { name: 'heic', extension: 'heic', mimeType: 'image/heic' },
} as const;

export type FormatName = keyof typeof CONTAINER_FORMATS;
export type ContainerFormat = (typeof CONTAINER_FORMATS)[FormatName];

/** EXIF's tag 0x0112: how the stored picture has to be turned to stand upright. 1 is upright. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** What the structure of a file says of its picture. */
export interface PictureFacts {
  format: FormatName;
  /** As stored, in pixels, before {@link orientation}; of an animation, its canvas. */
  width: number;
  height: number;
  /** 1 for a still picture. */
  frames: number;
  /** 1 for HEIC and AVIF: there the container turns the picture, and decoders obey it. */
  orientation: Orientation;
  /** JPEG alone: it is decoded in several passes and needs more memory. */
  progressive: boolean;
}

export interface PictureLimits {
  /** The most pixels over all frames: width times height times frames. */
  maxPixels: number;
  maxFrames: number;
}

export type ContainerRefusalCode =
  | 'empty-file'
  | 'unsupported-type'
  | 'too-many-pixels'
  | 'too-many-frames'
  /** The file ends before its picture does. */
  | 'truncated'
  /** The structure contradicts itself: no such file was ever written by a sound program. */
  | 'corrupt-file';

/** The file is refused for what its structure shows. The message is for people. */
export class ContainerRefused extends Error {
  override readonly name = 'ContainerRefused';
  readonly code: ContainerRefusalCode;

  constructor(code: ContainerRefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}
