import { describe, expect, it } from '@jest/globals';
import { forbidden, Problem } from '../../core/problems/problem.js';
import { failureAddress } from './failure-address.js';

const BACK = 'https://app.example.com/in?x=1';

describe('The address of a failure', () => {
  it('tells the code of the problem, and nothing else that it says', () => {
    const problem = new Problem(forbidden, 'canary', { extensions: { limit: 3 } });
    expect(failureAddress(BACK, problem)).toBe(`${BACK}#error=forbidden`);
  });

  it('has the challenge of a problem that names one, whatever it consists of', () => {
    const challenge = 'a+b/c=&error=none#d';
    const problem = new Problem(forbidden, undefined, { extensions: { challenge } });
    const { origin, search, hash } = new URL(failureAddress(BACK, problem));
    expect([origin, search]).toEqual(['https://app.example.com', '?x=1']);
    const told = new URLSearchParams(hash.slice(1));
    expect([...told]).toEqual([
      ['error', 'forbidden'],
      ['challenge', challenge],
    ]);
  });
});
