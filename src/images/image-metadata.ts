import { CONTAINER_FORMATS, type FormatName, type PictureFacts } from './containers/container.js';

/** What is known of a picture: most of it from the structure of its file, at once. */
export interface ImageMetadata {
  /** Upright, in pixels. */
  width: number;
  height: number;
  /** Of the file that it was made from, as it came: of the upload, or of what a model sent. In bytes. */
  size: number;
  /** The type of that file, by its bytes. */
  format: FormatName;
  mimeType: string;
  /** 1 for a still picture. */
  frames: number;
  /** JPEG alone: decoding it takes more memory. */
  progressive: boolean;
  /** Null until it has been decoded. */
  hasAlpha: boolean | null;
}

/** What the structure of a file tells. @param bytes of the file */
export function metadataOf(facts: PictureFacts, bytes: number): ImageMetadata {
  const { format, frames, progressive } = facts;
  return {
    ...uprightSize(facts),
    size: bytes,
    format,
    mimeType: CONTAINER_FORMATS[format].mimeType,
    frames,
    progressive,
    hasAlpha: null,
  };
}

/** Orientations 5 to 8 lay the picture on its side: EXIF 2.32, tag 0x0112. */
function uprightSize({ width, height, orientation }: PictureFacts) {
  return orientation < 5 ? { width, height } : { width: height, height: width };
}
