import { describe, expect, it } from '@jest/globals';
import { FileUrlSigner } from './signed-url.js';

const KEY = 'images/user/1-image/large.webp';
const NOW_MS = 1_767_225_600_000;
const LATER = NOW_MS / 1000 + 900;

const env = { APP_SECRET: 'a'.repeat(48), PUBLIC_URL: 'https://api.example.com' };
const signer = new FileUrlSigner(env);

function urlOf(key: string, nowMs: number): string {
  const [url = ''] = signer.urlsFor([key], 900, nowMs);
  return url;
}

describe('a signed address', () => {
  it('carries key, expiry and signature, and is accepted as it is', () => {
    const url = new URL(signer.url(KEY, LATER));

    expect(url.origin + url.pathname).toBe(`https://api.example.com/api/v1/files/${KEY}`);
    expect([...url.searchParams.keys()]).toEqual(['expires', 'signature']);
    const { expires, signature } = Object.fromEntries(url.searchParams);
    expect(signer.verify(KEY, expires!, signature!, NOW_MS)).toBe(true);
  });

  it('is valid until its second comes', () => {
    const signature = signer.sign(KEY, LATER);
    expect(signer.verify(KEY, String(LATER), signature, LATER * 1000 - 1)).toBe(true);
    expect(signer.verify(KEY, String(LATER), signature, LATER * 1000)).toBe(false);
  });

  it('without an end stays the same, and valid', () => {
    expect(signer.url(KEY, 'never')).toBe(new FileUrlSigner(env).url(KEY, 'never'));
    const signature = signer.sign(KEY, 'never');
    expect(signer.verify(KEY, 'never', signature, Number.MAX_SAFE_INTEGER)).toBe(true);
  });

  it('is refused with any one character of its signature changed', () => {
    const signature = signer.sign(KEY, LATER);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (let at = 0; at < signature.length; at++) {
      for (const character of alphabet.replace(signature[at]!, '')) {
        const altered = signature.slice(0, at) + character + signature.slice(at + 1);
        expect(signer.verify(KEY, String(LATER), altered, NOW_MS)).toBe(false);
      }
    }
  });

  it.each(['', ' ', '=', 'x', 'ü'.repeat(43), '\0'.repeat(43), 'A'.repeat(100_000)])(
    'is refused with a signature of another shape: %#',
    (signature) => {
      expect(signer.verify(KEY, String(LATER), signature, NOW_MS)).toBe(false);
      const padded = signer.sign(KEY, LATER) + signature;
      expect(signer.verify(KEY, String(LATER), padded, NOW_MS)).toBe(signature === '');
    },
  );

  it('is the same for a while, and lasts as long as it was asked to, or a little less', () => {
    const expiries = Array.from({ length: 121 }, (_, second) => {
      const nowMs = NOW_MS + second * 1_000;
      const { searchParams } = new URL(urlOf(KEY, nowMs));
      const { expires = '', signature = '' } = Object.fromEntries(searchParams);
      expect(signer.verify(KEY, expires, signature, nowMs + 870_000)).toBe(true);
      expect(Number(expires) - nowMs / 1_000).toBeLessThanOrEqual(900);
      return expires;
    });
    expect(new Set(expiries).size).toBeLessThanOrEqual(5);
  });

  it('is that of its own key, with whatever others it is asked for', () => {
    const other = `${KEY}x`;
    const groups = [[KEY], [KEY, other], [other, KEY], [KEY, `${KEY}y`], [KEY], [], [KEY, other]];
    for (const keys of groups) {
      const urls = signer.urlsFor(keys, 900, NOW_MS);
      expect(urls).toEqual(keys.map((key) => signer.url(key, LATER)));
    }
  });

  it.each(['never', '', '0', String(LATER + 1), `0${LATER}`, `${LATER}.0`, ` ${LATER}`, '9e99'])(
    'is refused with the expiry %j in place of its own',
    (expires) => {
      expect(signer.verify(KEY, expires, signer.sign(KEY, LATER), NOW_MS)).toBe(false);
    },
  );

  it('that expires cannot be made one that does not, nor the reverse', () => {
    expect(signer.verify(KEY, 'never', signer.sign(KEY, LATER), NOW_MS)).toBe(false);
    expect(signer.verify(KEY, String(LATER), signer.sign(KEY, 'never'), NOW_MS)).toBe(false);
  });

  it.each([
    'images/user/1-image/thumbnail.webp',
    'images/other/1-image/large.webp',
    `${KEY}\n`,
    `x${KEY}`,
    `../${KEY}`,
    '',
  ])('is refused for the key %j', (key) => {
    expect(signer.verify(key, String(LATER), signer.sign(KEY, LATER), NOW_MS)).toBe(false);
  });

  it('is refused when a part of the key moves into the expiry', () => {
    for (const separator of ['\n', ' ', ',', '"', '","']) {
      const signature = signer.sign(`${separator}${KEY}`, LATER);
      expect(signer.verify(KEY, `${LATER}${separator}`, signature, NOW_MS)).toBe(false);
    }
  });

  it('is refused under another secret', () => {
    const other = new FileUrlSigner({ ...env, APP_SECRET: 'b'.repeat(48) });
    expect(other.verify(KEY, String(LATER), signer.sign(KEY, LATER), NOW_MS)).toBe(false);
  });
});
