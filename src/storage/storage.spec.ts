import { describe, expect, it } from '@jest/globals';
import {
  assertStorageKey,
  contentTypeOf,
  imageKey,
  InvalidStorageKey,
  isStorageKey,
  MAX_KEY_LENGTH,
} from './storage-key.js';

describe('an image key', () => {
  const parts = {
    userId: '0198c0de-0000-7000-8000-000000000001',
    epochMs: 1_767_225_600_000,
    imageId: '0198c0de-0000-7000-8000-000000000002',
    variant: 'large',
    ext: 'webp',
  };

  it('says whose image it is, how old, and which variant', () => {
    expect(imageKey(parts)).toBe(
      'images/0198c0de-0000-7000-8000-000000000001/1767225600000-0198c0de-0000-7000-8000-000000000002/large.webp',
    );
    expect(isStorageKey(imageKey(parts))).toBe(true);
  });

  it.each([
    { userId: '' },
    { userId: '..' },
    { userId: 'a/b' },
    { userId: 'A' },
    { epochMs: NaN },
    { epochMs: -1 },
    { epochMs: 1.5 },
    { epochMs: 1e21 },
    { imageId: 'a/../b' },
    { imageId: 'x'.repeat(MAX_KEY_LENGTH) },
    { variant: '' },
    { variant: 'holiday.php' },
    { variant: '../large' },
    { ext: '' },
    { ext: 'webp/x' },
    { ext: 'tar.gz' },
    { ext: 'a-b' },
    { ext: 'webp\0' },
  ])('refuses %j', (part) => {
    expect(() => imageKey({ ...parts, ...part })).toThrow(InvalidStorageKey);
  });
});

describe('a storage key', () => {
  it('may be as long as the bound and no longer', () => {
    const name = (length: number) => `${'a'.repeat(length - '.webp'.length)}.webp`;
    expect(isStorageKey(name(MAX_KEY_LENGTH))).toBe(true);
    expect(isStorageKey(name(MAX_KEY_LENGTH + 1))).toBe(false);
  });

  it('is quoted and shortened when it is refused', () => {
    const hostile = `\n{"level":30}${'x'.repeat(10_000)}`;
    expect(() => {
      assertStorageKey(hostile);
    }).toThrow(/^Not a storage key: "\\n\{\\"level\\":30\}x{1,200}"$/);
  });
});

describe('a content type', () => {
  it.each([
    ['images/a.webp', 'image/webp'],
    ['images/a.jpg', 'image/jpeg'],
    ['images/a.jpeg', 'image/jpeg'],
    ['images/a.png', 'image/png'],
    ['images/a.html', 'application/octet-stream'],
    ['images/a.svg', 'application/octet-stream'],
    ['images/a.constructor', 'application/octet-stream'],
  ])('of %s is %s', (key, type) => {
    expect(contentTypeOf(key)).toBe(type);
  });
});
