import { describe, expect, it } from '@jest/globals';
import { newTotpSecret, stepOfCode, totpUri } from './totp.js';

/** The ASCII bytes 12345678901234567890 of RFC 6238 appendix B, in base32. */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

/** Of that appendix: the last six of its eight digits, for SHA-1. */
const VECTORS = [
  [59, '287082', 1],
  [1111111109, '081804', 37037036],
  [1111111111, '050471', 37037037],
  [1234567890, '005924', 41152263],
  [2000000000, '279037', 66666666],
  [20000000000, '353130', 666666666],
] as const;

const at = (seconds: number) => new Date(seconds * 1_000);

describe('a code of an authenticator', () => {
  it.each(VECTORS)('is that of RFC 6238 at %i', async (seconds, code, step) => {
    expect(await stepOfCode(SECRET, code, at(seconds))).toBe(step);
  });

  it('is good for its step of 30 seconds, the one before and the one after', async () => {
    const [seconds, code, step] = [1111111109, '081804', 37037036];
    const begin = step * 30;
    const times = [begin - 31, begin - 30, seconds, begin + 59, begin + 60];
    const found = await Promise.all(times.map((time) => stepOfCode(SECRET, code, at(time))));
    expect(found).toEqual([undefined, step, step, step, undefined]);
  });

  it('is none of another secret', async () => {
    expect(await stepOfCode(newTotpSecret(), '081804', at(1111111109))).toBeUndefined();
  });
});

describe('a secret', () => {
  it('is 160 random bits in base32', () => {
    const secrets = Array.from({ length: 100 }, newTotpSecret);
    for (const secret of secrets) expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(new Set(secrets).size).toBe(100);
  });

  it('is told to apps with issuer and account', () => {
    const uri = new URL(totpUri(SECRET, 'ana+x@example.com'));
    expect(uri.protocol).toBe('otpauth:');
    expect(uri.host).toBe('totp');
    expect(decodeURIComponent(uri.pathname)).toBe('/Atelier:ana+x@example.com');
    expect(Object.fromEntries(uri.searchParams)).toEqual({ secret: SECRET, issuer: 'Atelier' });
  });
});
