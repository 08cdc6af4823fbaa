import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';
import { Darkroom } from '../../../test/decoding.js';
import {
  BLUE,
  expectColour,
  GREEN,
  plain,
  RED,
  slideshow,
  WHITE,
} from '../../../test/paintings.js';
import { decode } from './cascade.js';

const COLOURS = [RED, GREEN, BLUE, WHITE];
const TIMING = { delay: [100, 200, 300, 400], loop: 3 };

let darkroom: Darkroom;

beforeAll(async () => {
  darkroom = await Darkroom.open();
});

afterAll(() => darkroom.close());

describe('An animation', () => {
  it.each<[string, (animation: Sharp) => Sharp]>([
    ['GIF', (animation) => animation.gif(TIMING)],
    ['WebP', (animation) => animation.webp(TIMING)],
  ])('keeps its frames, delays and loops from %s', async (_label, encode) => {
    const animation = await slideshow(COLOURS, { width: 600, height: 400 });
    const task = await darkroom.task(await encode(animation).toBuffer(), { avif: true });

    const result = await decode(task);

    expect(result).toMatchObject({ frames: 4, original: { width: 600, height: 400 } });
    expect(
      result.variants.map(({ name, format, width, height }) => [name, format, width, height]),
    ).toEqual([
      ['large', 'webp', 600, 400],
      ['medium', 'webp', 600, 400],
      ['thumbnail', 'webp', 320, 213],
    ]);
    for (const { path, width, height } of result.variants) {
      expect(await sharp(path, { animated: true }).metadata()).toMatchObject({
        format: 'webp',
        pages: 4,
        width,
        pageHeight: height,
        ...TIMING,
      });
      for (const [page, colour] of COLOURS.entries()) {
        // GIF has few colours to choose from.
        expectColour([...(await sharp(path, { page }).raw().toBuffer())], colour, 16);
      }
    }
    // What stands for it is its first frame.
    expect(result.dominantColor).toMatch(/^#d.1.1.$/);
  });

  it('keeps its transparency', async () => {
    const half = (r: number) =>
      sharp({
        create: { width: 60, height: 40, channels: 4, background: { r, g: 0, b: 0, alpha: 0 } },
      })
        .composite([
          {
            input: { create: { width: 30, height: 40, channels: 4, background: { ...RED, r } } },
            left: 0,
            top: 0,
          },
        ])
        .png()
        .toBuffer();
    const frames = [await half(220), await half(40)];
    const picture = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();

    const { hasAlpha, variants } = await decode(await darkroom.task(picture));

    expect(hasAlpha).toBe(true);
    for (const { path } of variants) {
      for (const page of [0, 1]) {
        const frame = await sharp(path, { page }).raw().toBuffer({ resolveWithObject: true });
        const alphaAt = (left: number) => frame.data[left * frame.info.channels + 3];
        expect([alphaAt(5), alphaAt(55)]).toEqual([255, 0]);
      }
    }
  });

  it('of one frame is a still picture', async () => {
    const picture = await plain(60, 40).gif().toBuffer();

    const { frames, variants } = await decode(await darkroom.task(picture, { avif: true }));

    expect(frames).toBe(1);
    expect(variants).toHaveLength(6);
  });

  it('with a broken frame is refused', async () => {
    const animation = await slideshow(COLOURS, { width: 600, height: 400 });
    const picture = await animation.webp({ lossless: true }).toBuffer();
    const lastFrame = picture.lastIndexOf('VP8L');
    picture.fill(0xff, lastFrame + 13, lastFrame + 40);

    await expect(decode(await darkroom.task(picture))).rejects.toMatchObject({
      name: 'DecodeRefused',
    });
  });
});
