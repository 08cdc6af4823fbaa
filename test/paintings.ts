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

/** 1200 × 800: red, green, blue and white corners, in reading order. */
export function fourCorners(): Promise<Buffer> {
  const corner = (background: Rgb, left: number, top: number) => ({
    input: { create: { width: 600, height: 400, channels: 3 as const, background } },
    left,
    top,
  });
  return plain(1200, 800)
    .composite([corner(GREEN, 600, 0), corner(BLUE, 0, 400), corner(WHITE, 600, 400)])
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
export async function pixel({ path }: { path: string }, left: number, top: number) {
  return [...(await sharp(path).extract({ left, top, width: 1, height: 1 }).raw().toBuffer())];
}

export function expectColour(actual: number[], { r, g, b }: Rgb, tolerance = TOLERANCE): void {
  const difference = [r, g, b].map((wanted, band) => Math.abs(wanted - (actual[band] ?? NaN)));
  expect(Math.max(...difference)).toBeLessThanOrEqual(tolerance);
}

/** That {@link fourCorners} stands upright, whatever its size. */
export async function expectFourCorners(file: {
  path: string;
  width: number;
  height: number;
}): Promise<void> {
  const right = file.width - 5;
  const bottom = file.height - 5;
  expectColour(await pixel(file, 5, 5), RED);
  expectColour(await pixel(file, right, 5), GREEN);
  expectColour(await pixel(file, 5, bottom), BLUE);
  expectColour(await pixel(file, right, bottom), WHITE);
}
