import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { detectFormat, SIGNATURE_BYTES } from './upload-format.js';

const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } });
const startOf = async (format: 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif') =>
  (await pixel.clone().toFormat(format).toBuffer()).subarray(0, SIGNATURE_BYTES);

describe('the format of a file', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('is told by its first bytes: %s', async (format) => {
    expect(detectFormat(await startOf(format))?.name).toBe(format);
  });

  it.each(['gif', 'tiff', 'avif'] as const)('is not one that we take: %s', async (format) => {
    expect(detectFormat(await startOf(format))).toBeUndefined();
  });

  it.each([
    '',
    'RIFF',
    'RIFF1234WAVE',
    '<svg>',
    'PK\u0003\u0004',
    '\xff\xd8',
    '%PDF-1.7 long text',
  ])('is not one that we take: %j', (start) => {
    expect(detectFormat(Buffer.from(start, 'latin1'))).toBeUndefined();
  });
});
