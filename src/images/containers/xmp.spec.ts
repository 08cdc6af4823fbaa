import { beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { makeEveryKind } from '../../../test/pictures.js';
import { stripMetadata } from './strip.js';
import { stampXmp } from './xmp.js';

const PACKET = '<x:xmpmeta xmlns:x="adobe:ns:meta/">Ménagerie, odd</x:xmpmeta>';
const limits = { maxPixels: 50_000_000, maxFrames: 100 };
const strip = (file: Buffer) => stripMetadata(Buffer.from(file), limits);
const stamp = (file: Buffer, xmp = PACKET) => stampXmp(strip(file), xmp);
let files: Record<string, Buffer>;

beforeAll(async () => {
  files = await makeEveryKind();
});

/** Those that can be stamped. */
function stampable(): [string, Buffer][] {
  return Object.entries(files).filter(([name]) => /JPEG|PNG|WebP/.test(name));
}

function countOf(text: string, file: Buffer): number {
  return file.toString('utf8').split(text).length - 1;
}

describe('a stamped picture', () => {
  it('carries the packet once, in the place of what was there', async () => {
    expect(stampable()).toHaveLength(14);
    for (const [name, file] of stampable()) {
      for (const xmp of [PACKET, `${PACKET} `]) {
        const stamped = stamp(file, xmp);
        const { xmp: read, exif, iptc } = await sharp(stamped).metadata();
        expect([name, read?.toString()]).toEqual([name, xmp]);
        expect([name, countOf('Ménagerie', stamped)]).toEqual([name, 1]);
        expect([name, stamped.includes('MARKER'), exif, iptc]).toEqual([
          ...[name, false, undefined, undefined],
        ]);
      }
    }
  });

  it('has the same pixels, profile, alpha and animation', async () => {
    for (const [name, file] of stampable()) {
      const { picture } = strip(file);
      const [before, after] = await Promise.all(
        [picture, stamp(file)].map(async (each) => {
          const { icc, pages, delay, loop, width, height, hasAlpha, depth } = await sharp(each, {
            animated: true,
          }).metadata();
          const pixels = await sharp(each, { animated: true }).raw().toBuffer();
          return { icc, pages, delay, loop, width, height, hasAlpha, depth, pixels };
        }),
      );
      expect({ name, ...after }).toEqual({ name, ...before });
    }
  });

  it('is a sound file, and the same when it is stripped and stamped again', () => {
    for (const [name, file] of stampable()) {
      const stamped = stamp(file);
      expect([name, strip(stamped).facts]).toEqual([name, strip(file).facts]);
      expect([name, stamp(stamped).equals(stamped)]).toEqual([name, true]);
    }
  });

  it.each([1, 6])('keeps orientation %i where decoders look for it', async (orientation) => {
    for (const format of ['jpeg', 'png', 'webp'] as const) {
      const turned = await sharp(files['PNG'])
        .withMetadata({ orientation })
        .toFormat(format)
        .toBuffer();
      const { orientation: kept = 1, xmp } = await sharp(stamp(turned)).metadata();
      expect([format, kept, xmp?.toString()]).toEqual([format, orientation, PACKET]);
    }
  });

  it('keeps the alpha of a lossless WebP of the simple kind', async () => {
    const simple = await sharp(files['PNG']).webp({ lossless: true }).toBuffer();
    const alone = strip(simple).picture;
    expect(alone.toString('latin1', 12, 16)).toBe('VP8L');
    const stamped = stamp(simple);
    expect(stamped.readUInt8(20)).toBe(0x14);
    expect(await sharp(stamped).metadata()).toMatchObject({ hasAlpha: true });
  });

  it.each(['GIF', 'AVIF', 'HEIC'])('is no %s', (name) => {
    expect(() => stamp(files[name]!)).toThrow(
      expect.objectContaining({ name: 'ContainerRefused', code: 'unsupported-type' }),
    );
  });
});
