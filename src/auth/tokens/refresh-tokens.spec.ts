import { describe, expect, it } from '@jest/globals';
import { offlineEnv } from '../../core/env.js';
import { newId } from '../../core/ids.js';
import { RefreshTokens } from './refresh-tokens.js';
import { SigningKeys } from './signing-keys.js';

const OLD = 'a secret of before, of thirty-two bytes and more';
const NEW = 'a secret of now, of thirty-two bytes and more';

/** As of a process with these secrets, the first of which signs. */
function tokensOf(secret: string, previous: string[] = []): RefreshTokens {
  const env = { ...offlineEnv(), JWT_SECRET: secret, JWT_PREVIOUS_SECRETS: previous };
  return new RefreshTokens(new SigningKeys(env));
}

describe('Refresh tokens', () => {
  const tokens = tokensOf(NEW);

  it('name their session, and are known again', () => {
    const sessionId = newId();
    const token = tokens.first(sessionId);
    expect(token.sessionId).toBe(sessionId);
    expect(token.text).toMatch(/^[\w-]{86}$/);
    expect(tokens.read(token.text)).toEqual(token);
  });

  it('differ for the same session', () => {
    const sessionId = newId();
    expect(tokens.first(sessionId).text).not.toBe(tokens.first(sessionId).text);
  });

  it('have one successor, of the same session', () => {
    const token = tokens.first(newId());
    const next = tokens.successorOf(token);
    expect(next.sessionId).toBe(token.sessionId);
    expect(next.text).not.toBe(token.text);
    expect(tokens.successorOf(token)).toEqual(next);
    expect(tokens.read(next.text)).toEqual(next);
    expect(tokens.successorWithHash(token, next.hash)).toEqual(next);
    expect(tokens.successorWithHash(next, next.hash)).toBeUndefined();
  });

  it('have another successor with another secret', () => {
    const token = tokens.first(newId());
    expect(tokensOf(OLD).successorOf(token).text).not.toBe(tokens.successorOf(token).text);
  });

  it('are none of ours when one character differs, whichever it is', () => {
    const { text } = tokens.first(newId());
    for (let index = 0; index < text.length; index += 1) {
      const other = text[index] === 'A' ? 'B' : 'A';
      expect(tokens.read(text.slice(0, index) + other + text.slice(index + 1))).toBeUndefined();
    }
  });

  it('outlive a change of the secret as long as the former one is known', () => {
    const token = tokensOf(OLD).first(newId());
    const lost = tokensOf(OLD).successorOf(token);
    expect(tokensOf(NEW).read(token.text)).toBeUndefined();
    const changed = tokensOf(NEW, [OLD]);
    expect(changed.read(token.text)).toEqual(token);
    // One that was replaced before the change, and comes again after it.
    expect(changed.successorWithHash(token, lost.hash)).toEqual(lost);
    expect(tokensOf(NEW).read(changed.successorOf(token).text)).toBeDefined();
  });
});
