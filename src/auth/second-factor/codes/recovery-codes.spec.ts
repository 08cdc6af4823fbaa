import { describe, expect, it } from '@jest/globals';
import {
  canonicalCode,
  newRecoveryCodes,
  RECOVERY_CODE,
  recoveryCodeHash,
} from './recovery-codes.js';

describe('recovery codes', () => {
  it('are ten, no two alike, of all 32 characters', () => {
    const codes = Array.from({ length: 100 }, newRecoveryCodes);
    for (const ten of codes) expect(ten).toHaveLength(10);
    const all = codes.flat();
    expect(new Set(all).size).toBe(1_000);
    for (const code of all) expect(code).toMatch(/^([a-z2-7]{5}-){3}[a-z2-7]{5}$/);
    expect(new Set(all.join('').replaceAll('-', '')).size).toBe(32);
  });

  it('are the same however they are typed', () => {
    expect(canonicalCode(' ABCDE fghij-KLMNO-pqrst\n')).toBe('abcdefghijklmnopqrst');
    for (const code of newRecoveryCodes()) expect(canonicalCode(code)).toMatch(RECOVERY_CODE);
  });

  it('are hashed for their authenticator', () => {
    const hash = recoveryCodeHash('one', 'abc');
    expect(hash).toMatch(/^[\da-f]{64}$/);
    expect(recoveryCodeHash('other', 'abc')).not.toBe(hash);
    expect(recoveryCodeHash('one', 'abd')).not.toBe(hash);
  });
});
