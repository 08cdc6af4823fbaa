import { expect, it } from '@jest/globals';
import { toldPath } from './told-path.js';

const TOKEN = 'v1.SG93IHF1aWNrbHkgZGFmdCBqdW1waW5n';

it.each([
  '/',
  '/api/v1/auth/verify-email/resend',
  '/api/v1/images/019a9c0e-3c54-7d0e-9c7e-7d7c5d1a2b3c/file',
  '/api/v1/files/images/019a9c0e-3c54-7d0e-9c7e-7d7c5d1a2b3c/1763770000000-019a9c0e-3c54-7d0e-9c7e-7d7c5d1a2b3c/large.webp',
])('tells an address of ours as it is: %s', (path) => {
  expect(toldPath(path)).toBe(path);
  expect(toldPath(`${path}?token=${TOKEN}`)).toBe(path);
  expect(toldPath(`${path}#token=${TOKEN}`)).toBe(path);
  expect(toldPath(`http://ana:secret@example.com${path}?token=${TOKEN}`)).toBe(path);
});

it.each([
  [`/api/v1/auth/verify-email/${TOKEN}`, '/api/v1/auth/verify-email/…'],
  [`/${TOKEN}/images`, '/…/images'],
  [`/images;${TOKEN}`, '/…'],
  [`/images%2f${TOKEN}`, '/…'],
  [`/images/019a9c0e-3c54-7d0e-9c7e-7d7c5d1a2b3c${TOKEN}`, '/images/…'],
])('does not tell what may be a token: %s', (target, told) => {
  expect(toldPath(target)).toBe(told);
});
