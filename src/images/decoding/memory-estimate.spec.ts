import { describe, expect, it } from '@jest/globals';
import { estimateMemoryMb, type MemoryFacts } from './memory-estimate.js';

const MEGABYTE = 1024 * 1024;

describe('The estimate of memory', () => {
  // Peaks of one child with files of these kinds, in MB, on Linux x64.
  it.each([
    { label: 'JPEG', megapixels: 12, fileMb: 4.1, measured: 162 },
    { label: 'JPEG', progressive: true, megapixels: 12, fileMb: 7.2, measured: 236 },
    { label: 'JPEG', progressive: true, megapixels: 48, fileMb: 27.9, measured: 469 },
    { label: 'PNG', megapixels: 48, fileMb: 89.2, measured: 313 },
    { label: 'PNG', megapixels: 12, fileMb: 68, measured: 332 },
    { label: 'WebP', megapixels: 12, fileMb: 24.5, measured: 255 },
    { label: 'AVIF', megapixels: 12, fileMb: 0.6, measured: 407 },
    { label: 'AVIF', megapixels: 48, fileMb: 3.6, measured: 1_012 },
    { label: 'HEIC', megapixels: 12, fileMb: 1, measured: 233 },
    { label: 'HEIC', megapixels: 48, fileMb: 4, measured: 469 },
    { label: 'GIF', frames: 10, megapixels: 4.8, fileMb: 44.7, measured: 387 },
    { label: 'WebP', frames: 200, megapixels: 0.2304, fileMb: 6.9, measured: 303 },
    { label: 'WebP', frames: 10, megapixels: 4.8, fileMb: 5.6, measured: 447 },
  ])('covers what a $label of $megapixels megapixels took: $measured MB', (picture) => {
    const { label, megapixels, fileMb, measured, frames = 1, progressive = false } = picture;
    const facts: MemoryFacts = {
      format: label.toLowerCase() as MemoryFacts['format'],
      width: megapixels * 1_000,
      height: 1_000,
      frames,
      progressive,
    };

    const estimate = estimateMemoryMb(facts, fileMb * MEGABYTE);

    expect(estimate).toBeGreaterThanOrEqual(measured);
    expect(estimate).toBeLessThan(2 * measured);
  });
});
