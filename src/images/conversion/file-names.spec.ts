import { describe, expect, it } from '@jest/globals';
import { isStorageKey } from '../../storage/storage-key.js';
import { FileNames } from './file-names.js';

const names = new FileNames({ APP_SECRET: 'x'.repeat(32) });
const LARGE = { imageId: 'i', name: 'large', version: 2, format: 'webp' } as const;

/** What nobody can guess of a name. */
function tokenOf(name: string): string {
  return /-([0-9a-f]{32})\.\w+$/.exec(name)?.[1] ?? '';
}

describe('the name of a file', () => {
  it('tells size, version and format, and is the same each time', () => {
    expect(names.nameOf(LARGE)).toMatch(/^large-2-[0-9a-f]{32}\.webp$/);
    expect(names.nameOf(LARGE)).toBe(names.nameOf({ ...LARGE }));
    expect(isStorageKey(names.nameOf(LARGE))).toBe(true);
  });

  it.each([
    ['its original', { name: 'original' }],
    ['another size', { name: 'thumbnail' }],
    ['another format', { format: 'avif' }],
    ['the next version', { version: 3 }],
    ['another image', { imageId: 'j' }],
  ] as const)('does not lead to %s', (_what, change) => {
    expect(tokenOf(names.nameOf({ ...LARGE, ...change }))).not.toBe(tokenOf(names.nameOf(LARGE)));
  });

  it('cannot be made without the secret', () => {
    const other = new FileNames({ APP_SECRET: 'y'.repeat(32) });
    expect(tokenOf(other.nameOf(LARGE))).toHaveLength(32);
    expect(other.nameOf(LARGE)).not.toBe(names.nameOf(LARGE));
  });
});
