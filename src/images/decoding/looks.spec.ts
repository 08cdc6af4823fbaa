import { describe, expect, it } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';
import { thumbHashToRGBA } from 'thumbhash';
import { BLUE, expectColour, fourCorners, plain, RED, textured } from '../../../test/paintings.js';
import { looksOf } from './looks.js';
import { toPixels } from './pixels.js';

describe('The placeholder', () => {
  it.each([
    { label: 'a landscape', width: 320, height: 200 },
    { label: 'a portrait', width: 120, height: 320 },
    { label: 'a small picture', width: 60, height: 40 },
  ])('looks like $label from afar', async ({ width, height }) => {
    const picture = sharp(await textured(width, height));

    const { placeholder } = await looksOf(await toPixels(picture.clone()));

    const hash = Buffer.from(placeholder, 'base64');
    expect(hash.length).toBeLessThanOrEqual(25);
    const { w, h, rgba } = thumbHashToRGBA(hash);
    expect(Math.sign(w - h)).toBe(Math.sign(width - height));
    const shown = sharp(Buffer.from(rgba), { raw: { width: w, height: h, channels: 4 } });
    const [r = 0, g = 0, b = 0] = await means(picture);
    expectColour(await means(shown), { r, g, b }, 12);
  });

  it('has corners where the picture has them', async () => {
    const { placeholder } = await looksOf(
      await toPixels(sharp(await fourCorners()).resize(300, 200)),
    );

    const { w, h, rgba } = thumbHashToRGBA(Buffer.from(placeholder, 'base64'));
    const at = (x: number, y: number) => [...rgba.subarray(4 * (y * w + x), 4 * (y * w + x) + 3)];
    const [red = 0, , notBlue = 0] = at(2, 2);
    const [notRed = 0, , blue = 0] = at(2, h - 3);
    expect(red).toBeGreaterThan(notRed + 50);
    expect(blue).toBeGreaterThan(notBlue + 50);
  });
});

describe('The dominant colour', () => {
  it('is the one that most of the picture has, not a mean of all', async () => {
    const blue = await plain(120, 200, BLUE).png().toBuffer();
    const picture = plain(320, 200, RED).composite([{ input: blue, left: 0, top: 0 }]);

    expect(await dominantColor(picture)).toBe('#dc1e1e');
  });

  it('counts only what can be seen', async () => {
    const seen = await plain(30, 30, BLUE).png().toBuffer();
    const unseen = { ...RED, alpha: 0 };
    const picture = sharp({ create: { width: 90, height: 90, channels: 4, background: unseen } });

    expect(await dominantColor(picture.clone().composite([{ input: seen }]))).toMatch(
      /^#1e1ed[bc]$/,
    );
    expect(await dominantColor(picture)).toBe('#ffffff');
  });

  it('is grey for a grey picture', async () => {
    const grey = plain(50, 40, { r: 119, g: 119, b: 119 }).toColourspace('b-w');

    expect(await dominantColor(sharp(await grey.png().toBuffer()))).toBe('#777777');
  });
});

async function dominantColor(picture: Sharp): Promise<string> {
  const { data, info } = await toPixels(sharp(await picture.png().toBuffer()));
  return (await looksOf({ data, info })).dominantColor;
}

async function means(picture: Sharp): Promise<number[]> {
  return (await picture.stats()).channels.map(({ mean }) => mean);
}
