import { describe, expect, it } from '@jest/globals';
import { parseRange } from './range-header.js';

/** More than any number of JavaScript tells apart. */
const HUGE = '9'.repeat(30);

describe('a Range header', () => {
  it.each([
    ['bytes=0-', { start: 0 }],
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=2-5', { start: 2, end: 5 }],
    ['bytes=007-9', { start: 7, end: 9 }],
    ['bytes=-4', { last: 4 }],
    ['bytes=-0', { last: 0 }],
    ['BYTES=2-5', { start: 2, end: 5 }],
    ['bytes= 2-5\t', { start: 2, end: 5 }],
    [`bytes=0-${HUGE}`, { start: 0, end: Number.MAX_SAFE_INTEGER }],
    [`bytes=${HUGE}-`, { start: Number.MAX_SAFE_INTEGER }],
    [`bytes=-${HUGE}`, { last: Number.MAX_SAFE_INTEGER }],
  ])('of %s asks for a part', (header, asked) => {
    expect(parseRange(header)).toEqual(asked);
  });

  it.each([
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=5-4',
    'bytes=0-1,3-4',
    'bytes=0-1,',
    'bytes=0-1, 0-1',
    'bytes =0-1',
    'bytes=0 - 1',
    'bytes=--1',
    'bytes=-1-2',
    'bytes=+1-2',
    'bytes=0x0-1',
    'bytes=1e1-',
    'bytes=0.5-1',
    'bytes=٠-١',
    'bytes=0-1\n',
    'bytes=a-b',
    'items=0-1',
    'none',
  ])('of %j is passed over', (header) => {
    expect(parseRange(header)).toBeUndefined();
  });

  it('may be as long as headers are, without harm', () => {
    const digits = '9'.repeat(16_000);
    expect(parseRange(`bytes=${digits}-`)).toEqual({ start: Number.MAX_SAFE_INTEGER });
    expect(parseRange(`bytes=${'0-1,'.repeat(4_000)}`)).toBeUndefined();
  });
});
