import { describe, expect, it } from '@jest/globals';
import { VerifiedTokens } from './verified-tokens.js';

const NOW = 1_000_000;
const claims = (name: string, exp = NOW / 1_000 + 60) => ({ name, exp });

describe('Verified tokens', () => {
  it('are known until the second in which they expire', () => {
    const tokens = new VerifiedTokens();
    tokens.remember('token', claims('a', 1_010));
    expect(tokens.find('token', 1_009_999)).toEqual(claims('a', 1_010));
    expect(tokens.find('token', 1_010_000)).toBeUndefined();
    expect(tokens.find('token', 1_009_999)).toBeUndefined();
  });

  it('are told apart to the last character', () => {
    const tokens = new VerifiedTokens();
    tokens.remember('token', claims('a'));
    expect(tokens.find('tokeN', NOW)).toBeUndefined();
    expect(tokens.find('', NOW)).toBeUndefined();
  });

  it('are not known any more once they are forgotten', () => {
    const tokens = new VerifiedTokens();
    tokens.remember('token', claims('a'));
    tokens.remember('other', claims('b'));
    tokens.forget('token');
    tokens.forget('never known');
    expect(tokens.find('token', NOW)).toBeUndefined();
    expect(tokens.find('other', NOW)).toEqual(claims('b'));
  });

  it('make room for others, those first that were not used for the longest', () => {
    const tokens = new VerifiedTokens();
    for (let index = 0; index < 10_000; index += 1) tokens.remember(String(index), claims('a'));
    expect(tokens.find('0', NOW)).toBeDefined();
    tokens.remember('one more', claims('b'));
    expect(tokens.find('0', NOW)).toBeDefined();
    expect(tokens.find('1', NOW)).toBeUndefined();
    expect(tokens.find('one more', NOW)).toBeDefined();
  });
});
