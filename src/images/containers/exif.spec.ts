import { describe, expect, it } from '@jest/globals';
import { EXIF_PREFIX, orientationExif, readOrientation } from './exif.js';

const LITTLE = Buffer.from('49492a0008000000010012010300010000000600000000000000', 'hex');

describe('the orientation in an EXIF block', () => {
  it('is read in both byte orders, with and without the prefix', () => {
    for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8] as const) {
      expect(readOrientation(orientationExif(orientation))).toBe(orientation);
    }
    expect(readOrientation(LITTLE)).toBe(6);
    expect(readOrientation(Buffer.concat([EXIF_PREFIX, LITTLE]))).toBe(6);
  });

  it('is 1 where it makes no sense', () => {
    const changed = (at: number, value: number) => {
      const exif = Buffer.from(LITTLE);
      exif[at] = value;
      return readOrientation(exif);
    };
    expect(changed(18, 0)).toBe(1);
    expect(changed(18, 9)).toBe(1);
    expect(changed(0, 0x50)).toBe(1);
    expect(changed(2, 43)).toBe(1);
    expect(changed(7, 0xff)).toBe(1);
    expect(changed(12, 7)).toBe(1);
    expect(changed(8, 0)).toBe(1);
  });

  it('is never looked for past the end', () => {
    for (let length = 0; length < 22; length += 1) {
      expect(readOrientation(LITTLE.subarray(0, length))).toBe(1);
    }
    const many = Buffer.from(LITTLE);
    many.writeUInt16LE(0xffff, 8);
    many.writeUInt16LE(0x0100, 10);
    expect(readOrientation(many)).toBe(1);
  });
});
