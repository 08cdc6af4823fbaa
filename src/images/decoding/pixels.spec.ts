import { describe, expect, it } from '@jest/globals';
import { drawing } from '../../../test/pictures.js';
import { release, toPixels } from './pixels.js';

describe('bytes that are released', () => {
  it('take no memory any more, without a collection', async () => {
    const pixels = await toPixels(drawing());
    expect(pixels.data.byteLength).toBeGreaterThan(0);
    release(pixels.data);
    expect(pixels.data.byteLength).toBe(0);
  });

  it('stay when others lie in the same memory', () => {
    const memory = new Uint8Array(6);
    release(memory.subarray(3));
    expect(memory.byteLength).toBe(6);
  });
});
