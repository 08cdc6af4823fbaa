import { describe, expect, it } from '@jest/globals';
import type { Env } from '../../core/env.js';
import { newId } from '../../core/ids.js';
import { CHALLENGE_SECONDS, Challenges } from './challenges.js';

const challengesOf = (APP_SECRET: string) => new Challenges({ APP_SECRET } as Env);

const challenges = challengesOf('one secret of the application, long enough');
const state = { userId: newId(), passwordHash: '$argon2id$one', secretId: newId() };

describe('a challenge', () => {
  it('names its account and is good for it', () => {
    const challenge = challenges.issue(state);
    expect(challenges.accountOf(challenge)).toBe(state.userId);
    expect(challenges.isGood(challenge, state)).toBe(true);
  });

  it.each([
    { userId: newId() },
    { passwordHash: '$argon2id$other' },
    { passwordHash: null },
    { secretId: newId() },
  ])('is not good when the account is another, or has changed: %j', (change) => {
    expect(challenges.isGood(challenges.issue(state), { ...state, ...change })).toBe(false);
  });

  it('is good for five minutes', () => {
    const lifetime = CHALLENGE_SECONDS * 1_000;
    const isGood = (madeAt: number) => challenges.isGood(challenges.issue(state, madeAt), state);
    expect(isGood(Date.now() - lifetime + 5_000)).toBe(true);
    expect(isGood(Date.now() - lifetime - 1)).toBe(false);
  });

  it('is good under its APP_SECRET alone', () => {
    const other = challengesOf('another secret of the application');
    expect(challenges.isGood(other.issue(state), state)).toBe(false);
  });

  it('is not good when any character of it was changed, or in another spelling', () => {
    const challenge = challenges.issue(state);
    for (let index = 0; index < challenge.length; index++) {
      const other = challenge[index] === 'A' ? 'B' : 'A';
      const changed = challenge.slice(0, index) + other + challenge.slice(index + 1);
      expect(challenges.isGood(changed, state)).toBe(false);
    }
    for (const spelling of [`${challenge}=`, `${challenge} `, ` ${challenge}`, `${challenge}A`]) {
      expect(challenges.isGood(spelling, state)).toBe(false);
      expect(challenges.accountOf(spelling)).toBeUndefined();
    }
  });
});
