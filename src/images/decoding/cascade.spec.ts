import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { Darkroom } from '../../../test/decoding.js';
import { decode } from './cascade.js';
import { type DecodedVariant, type DecodeTask, VARIANTS } from './variants.js';

const RED = { r: 220, g: 30, b: 30 };
const GREEN = { r: 30, g: 200, b: 30 };
const BLUE = { r: 30, g: 30, b: 220 };
const WHITE = { r: 250, g: 250, b: 250 };
/** {@link RED} by the matrices of the two colour spaces. */
const RED_IN_P3 = { r: 202, g: 54, b: 44 };
const EARTH = { r: 150, g: 110, b: 90 };
/** What WebP at quality 80 and a colour conversion may change, out of 255. */
const TOLERANCE = 6;

let darkroom: Darkroom;

beforeAll(async () => {
  darkroom = await Darkroom.open();
});

afterAll(() => darkroom.close());

describe('The sizes of the variants', () => {
  it.each([
    { width: 3000, height: 2000, sizes: ['2048x1365', '1024x683', '320x213'] },
    { width: 1200, height: 2400, sizes: ['1024x2048', '512x1024', '160x320'] },
    { width: 1500, height: 900, sizes: ['1500x900', '1024x614', '320x192'] },
    { width: 320, height: 320, sizes: ['320x320', '320x320', '320x320'] },
    { width: 4000, height: 1, sizes: ['2048x1', '1024x1', '320x1'] },
    { width: 1, height: 1, sizes: ['1x1', '1x1', '1x1'] },
  ])('are $sizes for $width × $height', async ({ width, height, sizes }) => {
    const { variants, ...original } = await decodeBytes(
      await plain(width, height).png().toBuffer(),
    );

    expect(original).toEqual({ format: 'png', width, height, hasAlpha: false });
    expect(variants.map(({ name }) => name)).toEqual(['large', 'medium', 'thumbnail']);
    expect(variants.map((variant) => `${variant.width}x${variant.height}`)).toEqual(sizes);
  });

  it.each(['jpeg', 'png', 'webp'] as const)(
    'are exact when %s is shrunk on load',
    async (format) => {
      const picture = await plain(4099, 2731)[format]().toBuffer();

      const { variants } = await decodeBytes(picture);

      expect(variants.map(({ width }) => width)).toEqual(Object.values(VARIANTS));
    },
  );

  it('are those of the files, which are WebP', async () => {
    const { variants } = await decodeBytes(await plain(1100, 500).jpeg().toBuffer());

    for (const { path, width, height, bytes } of variants) {
      const file = await readFile(path);
      expect(file).toHaveLength(bytes);
      expect(await sharp(file).metadata()).toMatchObject({ format: 'webp', width, height });
    }
  });
});

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

    const result = await decodeBytes(picture);

    expect(result).toMatchObject({ width: 1200, height: 800 });
    for (const variant of result.variants) {
      const { width, height } = variant;
      const right = width - 5;
      const bottom = height - 5;
      expectColour(await pixel(variant, 5, 5), RED);
      expectColour(await pixel(variant, right, 5), GREEN);
      expectColour(await pixel(variant, 5, bottom), BLUE);
      expectColour(await pixel(variant, right, bottom), WHITE);
    }
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

describe('Alpha', () => {
  it.each<[string, (picture: Sharp) => Sharp]>([
    ['PNG', (picture) => picture.png()],
    ['16-bit PNG', (picture) => picture.toColourspace('rgb16').png()],
    ['WebP', (picture) => picture.webp()],
  ])('is kept from %s', async (_label, encode) => {
    const background = { ...RED, alpha: 0.5 };
    const picture = sharp({ create: { width: 2500, height: 300, channels: 4, background } });

    const result = await decodeBytes(await encode(picture).toBuffer());

    expect(result.hasAlpha).toBe(true);
    for (const variant of result.variants) {
      const colour = await pixel(variant, 20, 20);
      expectColour(colour, RED);
      expect(colour[3]).toBeCloseTo(128, -1);
    }
  });
});

describe('Metadata', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('of %s is in no variant', async (format) => {
    const picture = await plain(900, 600)
      [format]()
      .withIccProfile('p3')
      .withExif({
        IFD0: { Copyright: 'find-me-exif' },
        IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 3230/100' },
      })
      .withXmp(
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><find-me-xmp/></x:xmpmeta><?xpacket end="w"?>',
      )
      .toBuffer();
    expect(picture.includes('find-me-exif')).toBe(true);

    const { variants } = await decodeBytes(picture);

    for (const { path } of variants) {
      const file = await readFile(path);
      const { exif, xmp, icc, iptc, orientation } = await sharp(file).metadata();
      expect({ exif, xmp, icc, iptc, orientation }).toEqual({});
      for (const trace of ['find-me', 'EXIF', 'Exif', 'XMP', 'ICCP']) {
        expect(file.includes(trace)).toBe(false);
      }
    }
  });
});

describe('A broken file is refused as undecodable', () => {
  const encoders: [string, (picture: Sharp) => Sharp][] = [
    ['baseline JPEG', (picture) => picture.jpeg()],
    ['progressive JPEG', (picture) => picture.jpeg({ progressive: true })],
    ['PNG', (picture) => picture.png()],
    ['interlaced PNG', (picture) => picture.png({ progressive: true })],
    ['WebP', (picture) => picture.webp()],
    ['lossless WebP', (picture) => picture.webp({ lossless: true })],
  ];

  it.each(encoders)('when it is a %s cut off anywhere', async (_label, encode) => {
    // Large enough to be shrunk on load, which must not skip the missing end.
    const whole = await encode(sharp(await textured(4200, 300))).toBuffer();

    for (const share of [0.001, 0.1, 0.5, 0.9, 0.99]) {
      const cut = whole.subarray(0, Math.floor(whole.length * share));
      await expect(decodeBytes(cut)).rejects.toMatchObject({ code: 'undecodable' });
    }
  });

  it.each(encoders)('when the head of a %s is damaged', async (_label, encode) => {
    const picture = await encode(sharp(await textured(600, 400))).toBuffer();
    picture.fill(0x5a, 4, 200);

    await expect(decodeBytes(picture)).rejects.toMatchObject({ code: 'undecodable' });
  });

  it('when one bit of the pixels of a PNG is wrong', async () => {
    const picture = await sharp(await textured(600, 400))
      .png()
      .toBuffer();
    picture.writeUInt8(picture.readUInt8(picture.length >> 1) ^ 1, picture.length >> 1);

    await expect(decodeBytes(picture)).rejects.toMatchObject({ code: 'undecodable' });
  });

  it('when it is no picture at all', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(5000), Buffer.from('<html>hello</html>')]) {
      await expect(decodeBytes(bytes)).rejects.toMatchObject({ code: 'undecodable' });
    }
  });
});

describe('The limit of pixels', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('admits a %s of exactly as many', async (format) => {
    const picture = await plain(400, 300)[format]().toBuffer();

    await expect(decodeBytes(picture, { maxPixels: 120_000 })).resolves.toMatchObject({ format });
    await expect(decodeBytes(picture, { maxPixels: 119_999 })).rejects.toMatchObject({
      code: 'too-many-pixels',
    });
  });

  it('refuses a picture by its header, before there is anything to decode', async () => {
    const picture = withPngSize(await plain(8, 8).png().toBuffer(), 40_000, 10_000);

    await expect(decodeBytes(picture)).rejects.toMatchObject({ code: 'too-many-pixels' });
  });
});

describe('A fault that is not the file’s is thrown as it is', () => {
  it('when the input is missing', async () => {
    await expect(decode(await darkroom.taskNamed('missing'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  it('when the output folder is missing', async () => {
    const task = await darkroom.task(await plain(50, 50).png().toBuffer());

    await expect(
      decode({ ...task, outputFolder: `${task.outputFolder}/missing` }),
    ).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});

async function decodeBytes(picture: Uint8Array, options: Partial<DecodeTask> = {}) {
  return decode(await darkroom.task(picture, options));
}

function plain(width = 900, height = 600): Sharp {
  return sharp({ create: { width, height, channels: 3, background: RED } });
}

/** 1200 × 800: red, green, blue and white corners, in reading order. */
function fourCorners(): Promise<Buffer> {
  const corner = (background: typeof RED, left: number, top: number) => ({
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
function textured(width: number, height: number): Promise<Buffer> {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 90 };
  const grain = { width: Math.ceil(width / 50), height: Math.ceil(height / 50) };
  return sharp({ create: { ...grain, channels: 3, background: '#000', noise } })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

/** A PNG that claims another size, with a right checksum. */
function withPngSize(png: Buffer, width: number, height: number): Buffer {
  const [type, widthAt, heightAt, crcAt] = [12, 16, 20, 29];
  const claimed = Buffer.from(png);
  claimed.writeUInt32BE(width, widthAt);
  claimed.writeUInt32BE(height, heightAt);
  claimed.writeUInt32BE(crc32(claimed.subarray(type, crcAt)), crcAt);
  return claimed;
}

async function pixel({ path }: DecodedVariant, left: number, top: number): Promise<number[]> {
  return [...(await sharp(path).extract({ left, top, width: 1, height: 1 }).raw().toBuffer())];
}

function expectColour(actual: number[], { r, g, b }: typeof RED, tolerance = TOLERANCE): void {
  const difference = [r, g, b].map((wanted, band) => Math.abs(wanted - (actual[band] ?? NaN)));
  expect(Math.max(...difference)).toBeLessThanOrEqual(tolerance);
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
