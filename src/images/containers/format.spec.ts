import { beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { makeEveryKind } from '../../../test/pictures.js';
import { detectFormat, SIGNATURE_BYTES } from './format.js';

let files: Record<string, Buffer>;

beforeAll(async () => {
  files = await makeEveryKind();
});

function brands(major: string, ...compatible: string[]): Buffer {
  const box = Buffer.from(`\0\0\0\0ftyp${major}\0\0\0\0${compatible.join('')}`, 'latin1');
  box.writeUInt32BE(box.length, 0);
  return Buffer.concat([box, Buffer.from('\0\0\0\x08heic', 'latin1')]);
}

describe('the format of a file', () => {
  it('is told by its first bytes', () => {
    for (const [name, file] of Object.entries(files)) {
      const format = detectFormat(file.subarray(0, SIGNATURE_BYTES));
      expect(name.toLowerCase()).toContain(format?.name);
    }
  });

  it('is told by the brands of the codec', () => {
    for (const brand of ['heic', 'heix', 'hevc', 'hevx', 'heim', 'heis']) {
      expect(detectFormat(brands(brand))?.name).toBe('heic');
      expect(detectFormat(brands('mif1', 'miaf', brand))?.name).toBe('heic');
    }
    for (const brand of ['avif', 'avis']) {
      expect(detectFormat(brands(brand, 'mif1', 'heic'))?.name).toBe('avif');
      expect(detectFormat(brands('msf1', brand))?.name).toBe('avif');
    }
    expect(detectFormat(brands('mif1', 'miaf'))).toBeUndefined();
    expect(detectFormat(brands('isom', 'heic'))).toBeUndefined();
    expect(detectFormat(brands('qt  ', 'mif1'))).toBeUndefined();
  });

  it('is not one that we take: TIFF', async () => {
    const tiff = await sharp(files.PNG).tiff().toBuffer();
    expect(detectFormat(tiff.subarray(0, SIGNATURE_BYTES))).toBeUndefined();
  });

  it.each([
    '',
    'RIFF',
    'RIFF1234WAVE',
    'GIF88a and more',
    '<svg>',
    'PK\u0003\u0004',
    '\xff\xd8',
    '\0\0\0\x0cftypheic',
    '%PDF-1.7 long text',
  ])('is not one that we take: %j', (start) => {
    expect(detectFormat(Buffer.from(start, 'latin1'))).toBeUndefined();
  });
});
