import { describe, expect, it } from '@jest/globals';
import { mayCutRange, weighConditions } from './conditions.js';

/** Half a second past what HTTP can tell. */
const file = { etag: '"v1"', lastModified: new Date('2026-01-02T03:04:05.500Z') };
const SAME = 'Fri, 02 Jan 2026 03:04:05 GMT';
const EARLIER = 'Fri, 02 Jan 2026 03:04:04 GMT';
const LATER = 'Fri, 02 Jan 2026 03:04:06 GMT';

describe('the conditions of a request', () => {
  it('may be none', () => {
    expect(weighConditions({}, file)).toBe('proceed');
  });

  it.each(['"v1"', 'W/"v1"', '"v0", "v1"', '"v0",W/"v1"', '"a,b" , "v1"', '*', ' * '])(
    'spare the bytes for If-None-Match: %s',
    (tags) => {
      expect(weighConditions({ 'if-none-match': tags }, file)).toBe('not-modified');
    },
  );

  it.each(['"v0"', 'v1', '""', '', '"V1"', '"v1', 'W/"v10"', '"*"', '"a", *'])(
    'are not met by If-None-Match: %s',
    (tags) => {
      expect(weighConditions({ 'if-none-match': tags }, file)).toBe('proceed');
    },
  );

  it.each([
    [SAME, 'not-modified'],
    [LATER, 'not-modified'],
    [EARLIER, 'proceed'],
    ['2030-01-01', 'proceed'],
    ['', 'proceed'],
  ])('of If-Modified-Since: %s make it %s', (date, verdict) => {
    expect(weighConditions({ 'if-modified-since': date }, file)).toBe(verdict);
  });

  it('pass over If-Modified-Since beside If-None-Match', () => {
    const headers = { 'if-none-match': '"v0"', 'if-modified-since': LATER };
    expect(weighConditions(headers, file)).toBe('proceed');
  });

  it.each([
    ['"v1"', 'proceed'],
    ['"v0", "v1"', 'proceed'],
    ['*', 'proceed'],
    ['W/"v1"', 'precondition-failed'],
    ['"v0"', 'precondition-failed'],
    ['', 'precondition-failed'],
  ])('of If-Match: %s make it %s', (tags, verdict) => {
    expect(weighConditions({ 'if-match': tags }, file)).toBe(verdict);
  });

  it.each([
    [SAME, 'proceed'],
    [LATER, 'proceed'],
    [EARLIER, 'precondition-failed'],
    ['yesterday', 'proceed'],
  ])('of If-Unmodified-Since: %s make it %s', (date, verdict) => {
    expect(weighConditions({ 'if-unmodified-since': date }, file)).toBe(verdict);
  });

  it('pass over If-Unmodified-Since beside If-Match', () => {
    const headers = { 'if-match': '"v1"', 'if-unmodified-since': EARLIER };
    expect(weighConditions(headers, file)).toBe('proceed');
  });

  it('are weighed with the refusing ones first', () => {
    const headers = { 'if-match': '"v0"', 'if-none-match': '"v1"' };
    expect(weighConditions(headers, file)).toBe('precondition-failed');
    expect(weighConditions({ ...headers, 'if-match': '"v1"' }, file)).toBe('not-modified');
  });

  it('are read in a moment, however they are made', () => {
    const started = process.threadCpuUsage();
    for (const piece of ['"', 'W/"', '","', 'W/', '" ', '"a"']) {
      weighConditions({ 'if-none-match': piece.repeat(16_000 / piece.length) }, file);
    }
    const { user, system } = process.threadCpuUsage(started);
    expect((user + system) / 1_000).toBeLessThan(200);
  });
});

describe('a range', () => {
  it.each([undefined, '"v1"', SAME])('is cut with If-Range: %s', (ifRange) => {
    expect(mayCutRange({ 'if-range': ifRange }, file)).toBe(true);
  });

  it.each(['W/"v1"', '"v0"', '*', '"v0", "v1"', EARLIER, LATER, 'yesterday', ''])(
    'is not cut with If-Range: %s',
    (ifRange) => {
      expect(mayCutRange({ 'if-range': ifRange }, file)).toBe(false);
    },
  );
});
