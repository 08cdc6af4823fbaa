import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { Darkroom } from '../../../test/decoding.js';
import { plain, slideshow, textured, RED, GREEN, BLUE } from '../../../test/paintings.js';
import { fixture } from '../../../test/pictures.js';
import { decode } from './cascade.js';
import { type DecodeTask, VARIANTS } from './variants.js';

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
    const result = await decodeBytes(await plain(width, height).png().toBuffer());
    const { original, variants } = result;

    expect(result).toMatchObject({ frames: 1, hasAlpha: false });
    expect(original).toMatchObject({ format: 'png', width, height });
    expect(variants.map(({ name }) => name)).toEqual(['large', 'medium', 'thumbnail']);
    expect(variants.map((variant) => `${variant.width}x${variant.height}`)).toEqual(sizes);
  });

  it.each(['jpeg', 'png', 'webp', 'gif'] as const)(
    'are exact when %s is shrunk on load',
    async (format) => {
      const picture = await plain(4099, 2731)[format]().toBuffer();

      const { variants } = await decodeBytes(picture);

      expect(variants.map(({ width }) => width)).toEqual(Object.values(VARIANTS));
    },
  );

  it('are those of the files, which are WebP', async () => {
    const { variants } = await decodeBytes(await plain(1100, 500).jpeg().toBuffer());

    for (const { path, width, height, bytes, checksum } of variants) {
      const file = await readFile(path);
      expect(file).toHaveLength(bytes);
      expect(sha256(file)).toBe(checksum);
      expect(await sharp(file).metadata()).toMatchObject({ format: 'webp', width, height });
    }
  });
});

describe('The original', () => {
  it.each<[string, () => Promise<Buffer>]>([
    ['jpg', () => plain().jpeg().toBuffer()],
    ['png', () => plain().png().toBuffer()],
    ['webp', () => plain().webp().toBuffer()],
    ['gif', () => plain().gif().toBuffer()],
    ['avif', () => plain().avif({ effort: 0 }).toBuffer()],
    ['heic', () => fixture('p3.heic')],
  ])('is kept as a file of its own format, described: %s', async (extension, picture) => {
    const glued = Buffer.concat([await picture(), Buffer.from('<script>find-me</script>')]);

    const { original } = await decodeBytes(glued);

    const file = await readFile(original.path);
    expect(original.path).toMatch(new RegExp(`/original\\.${extension}$`));
    expect(original).toMatchObject({ bytes: file.length, checksum: sha256(file) });
    const { width, height } = await sharp(file).metadata();
    expect(original).toMatchObject({ width, height });
    expect(file.includes('find-me')).toBe(false);
  });
});

describe('Metadata', () => {
  it.each(['jpeg', 'png', 'webp', 'avif'] as const)('of %s is nowhere', async (format) => {
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

    const { original, variants } = await decodeBytes(picture, { avif: true });

    for (const { path } of variants) {
      const file = await readFile(path);
      const { exif, xmp, icc, iptc, orientation } = await sharp(file).metadata();
      expect({ exif, xmp, icc, iptc, orientation }).toEqual({});
      for (const trace of ['find-me', 'EXIF', 'Exif', 'XMP', 'ICCP', 'colrprof']) {
        expect(file.includes(trace)).toBe(false);
      }
    }
    expect((await readFile(original.path)).includes('find-me')).toBe(false);
  });

  it('of an animation is nowhere', async () => {
    const animation = await slideshow([RED, GREEN], { width: 100, height: 80 });
    const picture = await animation
      .webp()
      .withExif({ IFD0: { Copyright: 'find-me-exif' } })
      .toBuffer();
    expect(picture.includes('find-me-exif')).toBe(true);

    const { original, variants } = await decodeBytes(picture);

    for (const { path } of [original, ...variants]) {
      const file = await readFile(path);
      for (const trace of ['find-me', 'EXIF', 'ICCP']) expect(file.includes(trace)).toBe(false);
    }
  });
});

describe('The packet of a task', () => {
  const xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><find-me-once/></x:xmpmeta>';

  it.each([
    ['jpeg', () => plain(900, 600).withXmp(xmp).jpeg().toBuffer()],
    ['png', () => plain(900, 600).png().toBuffer()],
    ['webp', () => plain(900, 600).webp().toBuffer()],
    [
      'animated webp',
      async () => (await slideshow([RED, GREEN], { width: 100, height: 80 })).webp().toBuffer(),
    ],
  ])('is in every file, once: %s', async (_name, picture) => {
    const { original, variants } = await decodeBytes(await picture(), { avif: true, xmp });

    for (const { path, bytes, checksum } of [original, ...variants]) {
      const file = await readFile(path);
      expect((await sharp(file).metadata()).xmp?.toString()).toBe(xmp);
      expect(file.toString('latin1').split('find-me-once')).toHaveLength(2);
      expect({ bytes, checksum }).toEqual({ bytes: file.length, checksum: sha256(file) });
    }
  });

  it('changes nothing when the original is decoded again', async () => {
    const first = await decodeBytes(await plain(900, 600).webp().toBuffer(), { xmp });
    const again = await decodeBytes(await readFile(first.original.path), { xmp });

    const checksums = ({ original, variants }: typeof first) =>
      [original, ...variants].map(({ checksum }) => checksum);
    expect(checksums(again)).toEqual(checksums(first));
  });

  it('is a reason to refuse a file that cannot carry it', async () => {
    await expect(decodeBytes(await plain().gif().toBuffer(), { xmp })).rejects.toMatchObject({
      ...{ name: 'DecodeRefused', code: 'unsupported-type' },
    });
  });
});

describe('A broken file is refused', () => {
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
      await expect(decodeBytes(cut)).rejects.toMatchObject({
        name: 'DecodeRefused',
        code: expect.stringMatching(/^(truncated|unsupported-type)$/),
      });
    }
  });

  it.each(encoders)('when the head of a %s is damaged', async (_label, encode) => {
    const picture = await encode(sharp(await textured(600, 400))).toBuffer();
    picture.fill(0x5a, 12, 200);

    await expect(decodeBytes(picture)).rejects.toMatchObject({ name: 'DecodeRefused' });
  });

  it('when one bit of the pixels of a PNG is wrong', async () => {
    const picture = await sharp(await textured(600, 400))
      .png()
      .toBuffer();
    picture.writeUInt8(picture.readUInt8(picture.length >> 1) ^ 1, picture.length >> 1);

    await expect(decodeBytes(picture)).rejects.toMatchObject({ name: 'DecodeRefused' });
  });

  it('when its structure is sound but its pixels are not', async () => {
    const avif = await sharp(await textured(600, 400))
      .avif({ effort: 0 })
      .toBuffer();
    const pixels = avif.indexOf('mdat') + 4;
    avif.fill(0xff, pixels + 20, pixels + 200);

    await expect(decodeBytes(avif)).rejects.toMatchObject({ code: 'undecodable' });
  });

  it('when it is no picture at all', async () => {
    await expect(decodeBytes(Buffer.alloc(0))).rejects.toMatchObject({ code: 'empty-file' });
    for (const bytes of [Buffer.alloc(5000), Buffer.from('<html>hello</html>')]) {
      await expect(decodeBytes(bytes)).rejects.toMatchObject({ code: 'unsupported-type' });
    }
  });
});

describe('The limit of pixels', () => {
  it.each(['jpeg', 'png', 'webp', 'gif', 'avif'] as const)(
    'admits a %s of exactly as many',
    async (format) => {
      const picture = await plain(400, 300)[format]().toBuffer();

      await expect(decodeBytes(picture, { maxPixels: 120_000 })).resolves.toMatchObject({
        original: { format },
      });
      await expect(decodeBytes(picture, { maxPixels: 119_999 })).rejects.toMatchObject({
        code: 'too-many-pixels',
      });
    },
  );

  it('counts all frames, and frames have a limit of their own', async () => {
    const animation = await slideshow([RED, GREEN, BLUE], { width: 100, height: 50 });
    const picture = await animation.gif().toBuffer();

    await expect(decodeBytes(picture, { maxPixels: 15_000, maxFrames: 3 })).resolves.toMatchObject({
      frames: 3,
    });
    await expect(decodeBytes(picture, { maxPixels: 14_999 })).rejects.toMatchObject({
      code: 'too-many-pixels',
    });
    await expect(decodeBytes(picture, { maxFrames: 2 })).rejects.toMatchObject({
      code: 'too-many-frames',
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

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
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
