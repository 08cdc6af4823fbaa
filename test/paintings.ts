import { expect } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';

/** Pictures whose colours are known, and looks at what became of them. */

export interface Rgb {
  r: number;
  g: number;
  b: number;
}

export const RED: Rgb = { r: 220, g: 30, b: 30 };
export const GREEN: Rgb = { r: 30, g: 200, b: 30 };
export const BLUE: Rgb = { r: 30, g: 30, b: 220 };
export const WHITE: Rgb = { r: 250, g: 250, b: 250 };

/** What WebP at quality 80 and a colour conversion may change, out of 255. */
export const TOLERANCE = 6;

/** One colour all over. */
export function plain(width = 900, height = 600, background: Rgb = RED): Sharp {
  return sharp({ create: { width, height, channels: 3, background } });
}

/** The colours of the four corners of a picture, in reading order. */
export type Corners = readonly [Rgb, Rgb, Rgb, Rgb];

const UPRIGHT_CORNERS: Corners = [RED, GREEN, BLUE, WHITE];

/** A quarter of one colour in each corner. */
export function fourCorners(
  [first, second, third, fourth]: Corners = UPRIGHT_CORNERS,
  { width, height } = { width: 1200, height: 800 },
): Promise<Buffer> {
  const corner = (background: Rgb, left: number, top: number) => ({
    input: { create: { width: width / 2, height: height / 2, channels: 3 as const, background } },
    left,
    top,
  });
  return plain(width, height, first)
    .composite([
      corner(second, width / 2, 0),
      corner(third, 0, height / 2),
      corner(fourth, width / 2, height / 2),
    ])
    .png()
    .toBuffer();
}

/** Something like a photograph: soft shapes of some 50 pixels in all colours. */
export function textured(width: number, height: number): Promise<Buffer> {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 90 };
  const grain = { width: Math.ceil(width / 50), height: Math.ceil(height / 50) };
  return sharp({ create: { ...grain, channels: 3, background: '#000', noise } })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

/** An animation of frames of one colour each. */
export async function slideshow(
  colours: Rgb[],
  size: { width: number; height: number },
): Promise<Sharp> {
  const frames = colours.map((colour) => plain(size.width, size.height, colour).png().toBuffer());
  return sharp(await Promise.all(frames), { join: { animated: true } });
}

/** The bands of one pixel of a file. */
export async function pixel({ path }: { path: string | Buffer }, left: number, top: number) {
  return [...(await sharp(path).extract({ left, top, width: 1, height: 1 }).raw().toBuffer())];
}

export function expectColour(actual: number[], { r, g, b }: Rgb, tolerance = TOLERANCE): void {
  const difference = [r, g, b].map((wanted, band) => Math.abs(wanted - (actual[band] ?? NaN)));
  expect(Math.max(...difference)).toBeLessThanOrEqual(tolerance);
}

/** That the corners of a file are as {@link fourCorners} makes them, whatever its size. */
export async function expectFourCorners(
  file: { path: string | Buffer; width: number; height: number },
  [first, second, third, fourth]: Corners = UPRIGHT_CORNERS,
  tolerance = TOLERANCE,
): Promise<void> {
  const right = file.width - 5;
  const bottom = file.height - 5;
  expectColour(await pixel(file, 5, 5), first, tolerance);
  expectColour(await pixel(file, right, 5), second, tolerance);
  expectColour(await pixel(file, 5, bottom), third, tolerance);
  expectColour(await pixel(file, right, bottom), fourth, tolerance);
}
