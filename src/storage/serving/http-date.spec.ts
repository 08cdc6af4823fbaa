import { describe, expect, it } from '@jest/globals';
import { parseHttpDate } from './http-date.js';

describe('a date of HTTP', () => {
  it.each([
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
  ])('may have any of its three forms: %s', (text) => {
    expect(parseHttpDate(text)).toBe(784_111_777);
  });

  it('is what a Date writes', () => {
    const now = Math.floor(Date.now() / 1_000);
    expect(parseHttpDate(new Date(now * 1_000).toUTCString())).toBe(now);
    expect(parseHttpDate('Thu, 01 Jan 1970 00:00:00 GMT')).toBe(0);
    expect(parseHttpDate('Thu, 29 Feb 2024 23:59:59 GMT')).toBe(1_709_251_199);
  });

  it('with two digits of a year is at most fifty years ahead', () => {
    const years = [0, 50, 51].map((ahead) => new Date().getUTCFullYear() + ahead);
    const read = years.map((year) => {
      const seconds = parseHttpDate(`Sunday, 06-Nov-${String(year).slice(2)} 08:49:37 GMT`);
      return new Date((seconds ?? NaN) * 1_000).getUTCFullYear();
    });
    expect(read).toEqual([years[0], years[1], years[2]! - 100]);
  });

  it.each([
    '',
    '0',
    '-1',
    '2026',
    '784111777',
    '1994-11-06T08:49:37Z',
    'tomorrow',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 CET',
    'Sun, 06 Nov 1994 08:49:37 GMT+1',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'sun, 06 nov 1994 08:49:37 gmt',
    'Mon, 31 Feb 2026 00:00:00 GMT',
    'Mon, 29 Feb 2025 00:00:00 GMT',
    'Mon, 01 Jan 2026 24:00:00 GMT',
    'Mon, 01 Jan 2026 00:60:00 GMT',
    'Mon, 01 Jan 2026 :::::::: GMT',
    'Mon, 01 Foo 2026 00:00:00 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
  ])('is not %j', (text) => {
    expect(parseHttpDate(text)).toBeUndefined();
  });
});
