import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { Darkroom } from '../../../test/decoding.js';
import {
  expectColour,
  expectFourCorners,
  fourCorners,
  pixel,
  plain,
  RED,
  type Rgb,
  textured,
  TOLERANCE,
} from '../../../test/paintings.js';
import { fixture } from '../../../test/pictures.js';
import { decode } from './cascade.js';
import { VARIANTS } from './variants.js';

/** {@link RED} by the matrices of the two colour spaces. */
const RED_IN_P3: Rgb = { r: 202, g: 54, b: 44 };
const EARTH: Rgb = { r: 150, g: 110, b: 90 };

let darkroom: Darkroom;

beforeAll(async () => {
  darkroom = await Darkroom.open();
});

afterAll(() => darkroom.close());

describe('An EXIF orientation', () => {
  /** How an upright picture is stored under each orientation. */
  const stored: Record<number, (upright: Sharp) => Sharp> = {
    1: (upright) => upright,
    2: (upright) => upright.flop(),
    3: (upright) => upright.rotate(180),
    4: (upright) => upright.flip(),
    5: (upright) => upright.flip().rotate(90),
    6: (upright) => upright.rotate(270),
    7: (upright) => upright.flop().rotate(90),
    8: (upright) => upright.rotate(90),
  };

  it.each(
    (['jpeg', 'png', 'webp'] as const).flatMap((format) =>
      Object.entries(stored).map(([orientation, store]) => ({ format, orientation, store })),
    ),
  )('of $orientation is upright from $format', async ({ format, orientation, store }) => {
    const picture = await store(sharp(await fourCorners()))
      [format]()
      .withMetadata({ orientation: Number(orientation) })
      .toBuffer();

    const { original, variants } = await decodeBytes(picture);

    expect(original).toMatchObject({ width: 1200, height: 800 });
    for (const variant of variants) await expectFourCorners(variant);
    // The original keeps it, and its pixels.
    expect((await sharp(original.path).metadata()).orientation ?? 1).toBe(Number(orientation));
  });
});

describe('Colours', () => {
  // The way into CMYK is what loses so much: the small profile that comes with sharp is coarse.
  it.each<[string, number, (picture: Sharp) => Sharp]>([
    ['CMYK without a profile', 25, (picture) => picture.toColourspace('cmyk').jpeg()],
    ['CMYK with a profile', 25, (picture) => picture.withIccProfile('cmyk').jpeg()],
    ['16 bits', TOLERANCE, (picture) => picture.toColourspace('rgb16').png()],
    [
      '16 bits with a profile',
      TOLERANCE,
      (picture) => picture.toColourspace('rgb16').withIccProfile('srgb').png(),
    ],
    ['a palette', TOLERANCE, (picture) => picture.png({ palette: true })],
  ])('end as sRGB from %s', async (_label, tolerance, encode) => {
    const picture = sharp({ create: { width: 900, height: 600, channels: 3, background: EARTH } });

    const { variants } = await decodeBytes(await encode(picture).toBuffer());

    for (const variant of variants) {
      expectColour(await pixel(variant, 10, 10), EARTH, tolerance);
      expect(await sharp(variant.path).metadata()).toMatchObject({ space: 'srgb', depth: 'uchar' });
    }
  });

  it.each<[string, (picture: Sharp) => Sharp]>([
    ['JPEG', (picture) => picture.jpeg({ quality: 100 })],
    ['PNG', (picture) => picture.png()],
    ['16-bit PNG', (picture) => picture.toColourspace('rgb16').png()],
    ['WebP', (picture) => picture.webp({ lossless: true })],
  ])('of Display P3 end as sRGB from %s', async (_label, encode) => {
    const picture = await encode(plain()).withIccProfile('p3').toBuffer();
    const unconverted = await sharp(picture, { ignoreIcc: true }).raw().toBuffer();
    expectColour([...unconverted.subarray(0, 3)], RED_IN_P3);

    const { variants } = await decodeBytes(picture);

    for (const variant of variants) expectColour(await pixel(variant, 10, 10), RED);
  });

  it('stay grey from 8-bit and 16-bit grey', async () => {
    for (const space of ['b-w', 'grey16']) {
      const picture = sharp({
        create: { width: 500, height: 400, channels: 3, background: '#777' },
      });
      const { variants } = await decodeBytes(await picture.toColourspace(space).png().toBuffer());

      for (const variant of variants) {
        expectColour(await pixel(variant, 10, 10), { r: 0x77, g: 0x77, b: 0x77 });
      }
    }
  });

  it.each<[string, (picture: Sharp) => Sharp]>([
    ['JPEG', (picture) => picture.jpeg()],
    ['progressive JPEG', (picture) => picture.jpeg({ progressive: true })],
    ['Display P3', (picture) => picture.jpeg().withIccProfile('p3')],
    ['CMYK', (picture) => picture.toColourspace('cmyk').jpeg()],
    ['WebP', (picture) => picture.webp()],
    ['a turned JPEG', (picture) => picture.jpeg().withMetadata({ orientation: 6 })],
  ])('are those of three decodes of the same file: %s', async (_label, encode) => {
    const picture = await encode(sharp(await textured(2200, 400))).toBuffer();

    const { variants } = await decodeBytes(picture);

    for (const { name, path } of variants) {
      const alone = await sharp(picture, { autoOrient: true })
        .resize(VARIANTS[name], VARIANTS[name], { fit: 'inside' })
        .webp({ quality: 80, effort: 0 })
        .toBuffer();
      const { shift, difference } = await compare(await readFile(path), alone);
      expect(shift).toBeLessThan(2);
      // Two ways of shrinking differ at edges; sharp with and without `fastShrinkOnLoad` by 4.
      expect(difference).toBeLessThan(6);
    }
  });
});

describe('HEIC', () => {
  it.each([
    ['Display P3 by its profile', () => fixture('p3.heic')],
    ['Display P3 by its name', async () => namingP3(await fixture('p3.heic'))],
    ['a container that turns it', () => fixture('turned.heic')],
  ])('is upright and in the colours of sRGB from %s', async (_label, picture) => {
    const { original, variants } = await decodeBytes(await picture());

    expect(original).toMatchObject({ format: 'heic', width: 300, height: 200 });
    expect(variants.map(({ width, height }) => `${width}x${height}`)).toEqual(
      Array(3).fill('300x200'),
    );
    for (const variant of variants) await expectFourCorners(variant);
  });

  it('keeps its alpha', async () => {
    const result = await decodeBytes(await fixture('alpha.heic'));

    expect(result.hasAlpha).toBe(true);
    for (const variant of result.variants) {
      const colour = await pixel(variant, 20, 20);
      expectColour(colour, RED);
      expect(colour[3]).toBeCloseTo(128, -1);
    }
  });

  it('is refused when it is cut off or damaged', async () => {
    const whole = await fixture('p3.heic');
    for (const share of [0.1, 0.5, 0.9, 0.99]) {
      const cut = whole.subarray(0, Math.floor(whole.length * share));
      await expect(decodeBytes(cut)).rejects.toMatchObject({ code: 'truncated' });
    }
    // The parameters of the decoder, without which there is no picture.
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, damaged.indexOf('hvcC') + 4, damaged.indexOf('hvcC') + 40);
    await expect(decodeBytes(damaged)).rejects.toMatchObject({ name: 'DecodeRefused' });
  });

  /** The box of the profile made one that names the colour space by ITU-T H.273. */
  function namingP3(heic: Buffer): Buffer {
    const [primaries, transfer, matrix] = [12, 13, 6];
    const box = heic.indexOf('colrprof');
    const end = box - 4 + heic.readUInt32BE(box - 4);
    const named = Buffer.from(heic);
    named.fill(0, box, end);
    named.write('colrnclx', box, 'latin1');
    for (const [index, code] of [primaries, transfer, matrix].entries()) {
      named.writeUInt16BE(code, box + 8 + 2 * index);
    }
    named.writeUInt8(0x80, box + 14);
    return named;
  }
});

describe('Alpha', () => {
  it.each<[string, (picture: Sharp) => Sharp]>([
    ['PNG', (picture) => picture.png()],
    ['16-bit PNG', (picture) => picture.toColourspace('rgb16').png()],
    ['grey PNG', (picture) => picture.toColourspace('b-w').png()],
    ['WebP', (picture) => picture.webp()],
    ['AVIF', (picture) => picture.avif({ effort: 0 })],
  ])('is kept from %s', async (label, encode) => {
    const grey = { r: 90, g: 90, b: 90 };
    const colour = label === 'grey PNG' ? grey : RED;
    const background = { ...colour, alpha: 0.5 };
    const picture = sharp({ create: { width: 2500, height: 300, channels: 4, background } });

    const result = await decodeBytes(await encode(picture).toBuffer(), { avif: true });

    expect(result.hasAlpha).toBe(true);
    for (const variant of result.variants) {
      const seen = await pixel(variant, 20, 20);
      expectColour(seen, colour);
      expect(seen[3]).toBeCloseTo(128, -1);
    }
  });
});

describe('AVIF variants', () => {
  it('are made beside those of WebP when they are asked for', async () => {
    const picture = await sharp(await textured(2200, 1100))
      .jpeg()
      .toBuffer();

    const { variants } = await decodeBytes(picture, { avif: true });

    expect(variants.map(({ name, format }) => `${name}.${format}`)).toEqual(
      ['webp', 'avif'].flatMap((format) =>
        Object.keys(VARIANTS).map((name) => `${name}.${format}`),
      ),
    );
    for (const [index, { path, width, height }] of variants.slice(3).entries()) {
      const file = await readFile(path);
      expect(await sharp(file).metadata()).toMatchObject({
        mediaType: 'image/avif',
        width,
        height,
      });
      expect(variants[index]).toMatchObject({ width, height });
      const { shift, difference } = await compare(file, await readFile(variants[index]!.path));
      expect(shift).toBeLessThan(2);
      expect(difference).toBeLessThan(10);
    }
  });
});

async function decodeBytes(picture: Uint8Array, options: { avif?: boolean } = {}) {
  return decode(await darkroom.task(picture, options));
}

/** How far a whole channel is off, and the mean difference of two pictures of one size, of 255. */
async function compare(one: Buffer, other: Buffer) {
  const distance = await sharp(one)
    .composite([{ input: other, blend: 'difference' }])
    .raw()
    .toBuffer({ resolveWithObject: true });
  const means = async (picture: Sharp) =>
    (await picture.stats()).channels.slice(0, 3).map(({ mean }) => mean);
  const [a, b] = [await means(sharp(one)), await means(sharp(other))];
  return {
    shift: Math.max(...a.map((mean, channel) => Math.abs(mean - b[channel]!))),
    difference: Math.max(...(await means(sharp(distance.data, { raw: distance.info })))),
  };
}
