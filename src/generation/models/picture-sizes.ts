/** The shapes that pictures are asked for in, width to height. */
export const ASPECT_RATIOS = [
  '1:1',
  '2:3',
  '3:2',
  '3:4',
  '4:3',
  '4:5',
  '5:4',
  '9:16',
  '16:9',
  '21:9',
] as const;
export type AspectRatio = (typeof ASPECT_RATIOS)[number];

/** How large: each is twice as wide and high as the one before. */
export const PICTURE_SIZES = ['1K', '2K', '4K'] as const;
export type PictureSize = (typeof PICTURE_SIZES)[number];

/** In pixels. */
export interface PixelSize {
  readonly width: number;
  readonly height: number;
}

/**
 * What Gemini makes of each ratio at 1K: about a million pixels, not so many along a side.
 * https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios_and_image_size
 */
const AT_1K: Readonly<Record<AspectRatio, readonly [width: number, height: number]>> = {
  '1:1': [1024, 1024],
  '2:3': [848, 1264],
  '3:2': [1264, 848],
  '3:4': [896, 1200],
  '4:3': [1200, 896],
  '4:5': [928, 1152],
  '5:4': [1152, 928],
  '9:16': [768, 1376],
  '16:9': [1376, 768],
  '21:9': [1584, 672],
};

const SCALES: Readonly<Record<PictureSize, number>> = { '1K': 1, '2K': 2, '4K': 4 };

/** How many pixels a picture has that is asked for so. */
export function pixelsOf(aspectRatio: AspectRatio, size: PictureSize): PixelSize {
  const [width, height] = AT_1K[aspectRatio];
  const scale = SCALES[size];
  return { width: width * scale, height: height * scale };
}
