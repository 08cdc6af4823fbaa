import { describe, expect, it } from '@jest/globals';
import { MOST_COINS, requireAmount } from './amount.js';

describe('An amount of coins', () => {
  it.each([1, 100, MOST_COINS])('may be %p', (amount) => {
    expect(() => {
      requireAmount(amount);
    }).not.toThrow();
  });

  it.each([
    ...[0, -0, -1, 0.5, 1.000001, NaN, Infinity, -Infinity, MOST_COINS + 1, 1e300],
    ...['1', '', ' 1', 1n, true, null, undefined, [1], {}, new Number(1), new Date(1)],
  ])('may not be %p', (amount: unknown) => {
    expect(() => {
      requireAmount(amount);
    }).toThrow(RangeError);
  });
});
