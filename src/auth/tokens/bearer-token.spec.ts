import { describe, expect, it } from '@jest/globals';
import { bearerTokenOf } from './bearer-token.js';

const tokenOf = (...values: string[]) =>
  bearerTokenOf({
    // As Node has them: the first of several.
    headers: values[0] === undefined ? {} : { authorization: values[0] },
    raw: { rawHeaders: values.flatMap((value) => ['Authorization', value]) },
  });

describe('The bearer token of a request', () => {
  it.each(['Bearer a.b-c_d', 'bearer a.b-c_d', 'BEARER   a.b-c_d'])('is found in %s', (header) => {
    expect(tokenOf(header)).toBe('a.b-c_d');
  });

  it('is not found without the header, nor in two of them', () => {
    expect(tokenOf()).toBeNull();
    expect(tokenOf('Bearer a', 'Bearer a')).toBeNull();
  });

  it.each(['', 'Bearer', 'Bearer ', 'Basic a.b', 'Bearer a.b junk', 'Bearer a.b ', 'Bearera'])(
    'is not found in %s',
    (header) => {
      expect(tokenOf(header)).toBeNull();
    },
  );

  it.each([' ', '=', 'a', 'Bearer '])('is not looked for long among many of %j', (part) => {
    const before = process.threadCpuUsage();
    tokenOf(`Bearer ${part.repeat(100_000)}!`);
    const { user, system } = process.threadCpuUsage(before);
    expect(user + system).toBeLessThan(100_000);
  });
});
