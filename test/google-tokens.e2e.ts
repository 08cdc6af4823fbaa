import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { GoogleServer, MOBILE_CLIENT_ID } from './google-server.js';
import { aPerson } from './google-visits.js';
import { TestingApp } from './testing-app.js';

const NONCE = 'n-0S6_WzA2Mj';

let google: GoogleServer;
let app: TestingApp;

beforeAll(async () => {
  google = await GoogleServer.start();
  app = await TestingApp.start({ worker: false, variables: google.variables });
});

afterAll(async () => {
  await app.close();
  await google.close();
});

afterEach(() => {
  jest.restoreAllMocks();
  google.faults.clear();
});

const now = () => Math.floor(Date.now() / 1_000);
const send = (body: object, at = app) => at.http.post('/api/v1/auth/google/token').send(body);
const forger = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

/** Has the product believe that it is later. */
function later(seconds: number): void {
  const real = Date.now.bind(Date);
  jest.spyOn(Date, 'now').mockImplementation(() => real() + seconds * 1_000);
}

/** The product as it is when it has just begun, and knows no keys. */
function startAgain(): Promise<TestingApp> {
  return TestingApp.start({ worker: false, variables: google.variables });
}

describe('an ID token', () => {
  it('signs in, at the first time into a new account', async () => {
    const person = aPerson();
    const first = await send({ idToken: google.idToken(person) }).expect(200);
    expect(first.body).toMatchObject({
      tokenType: 'Bearer',
      refreshToken: expect.any(String),
      user: { email: person.email, emailVerified: true },
    });
    const again = await send({ idToken: google.idToken(person) }).expect(200);
    expect(again.body.user).toEqual(first.body.user);
  });

  it('makes one account of many at once', async () => {
    const idToken = google.idToken(aPerson());
    const answers = await Promise.all(Array.from({ length: 20 }, () => send({ idToken })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => body.user.id)).size).toBe(1);
  });

  it('has the refresh token put into a cookie on request', async () => {
    const answer = await send({ idToken: google.idToken(aPerson()), refreshIn: 'cookie' });
    expect(answer.status).toBe(200);
    expect(answer.body).not.toHaveProperty('refreshToken');
    expect(answer.headers['set-cookie']).toHaveLength(1);
  });

  it.each([
    ['of a mobile app', { aud: MOBILE_CLIENT_ID }],
    ['with the other spelling of the issuer', { iss: 'accounts.google.com' }],
    ['that has just expired by our clock', { exp: now() - 30 }],
    ['of a clock that is a little ahead', { iat: now() + 30 }],
  ])('is taken %s', async (_name, claims) => {
    await send({ idToken: google.idToken(aPerson(), claims) }).expect(200);
  });

  it.each([
    ['another audience', { aud: 'another.apps.googleusercontent.com' }],
    ['an empty audience', { aud: '' }],
    ['no audience', { aud: undefined }],
    ['several audiences', { aud: [MOBILE_CLIENT_ID, 'another'] }],
    ['another issuer', { iss: 'https://accounts.evil.example' }],
    ['a longer issuer', { iss: 'https://accounts.google.com.evil.example' }],
    ['no issuer', { iss: undefined }],
    ['its time over', { iat: now() - 3_600, exp: now() - 120 }],
    ['no end', { exp: undefined }],
    ['an end that is text', { exp: 'tomorrow' }],
    ['an issue in the future', { iat: now() + 300, exp: now() + 3_600 }],
    ['an issue long ago', { iat: now() - 86_400 }],
    ['no issue', { iat: undefined }],
    ['a start in the future', { nbf: now() + 300 }],
    ['no subject', { sub: undefined }],
    ['an empty subject', { sub: '' }],
    ['a subject that is a number', { sub: 12 }],
    ['a nonce that nobody has told', { nonce: NONCE }],
    ['a nonce that is a list', { nonce: [NONCE] }],
  ])('is refused with %s', async (_name, claims) => {
    const { body } = await send({ idToken: google.idToken(aPerson(), claims) }).expect(401);
    expect(body.code).toBe('invalid-id-token');
  });

  it.each([
    ['alg none', () => ({ alg: 'none', key: 'none' as const })],
    ['alg none and a signature', () => ({ alg: 'none' })],
    ['HS256 by the public key', () => ({ alg: 'HS256', key: google.publicPem })],
    ['HS256 by nothing', () => ({ alg: 'HS256', key: Buffer.alloc(0) })],
    ['HS256 by the client secret', () => ({ alg: 'HS256', key: clientSecret() })],
    ['RS256 by another key', () => ({ key: forger() })],
    ['RS256 by another key of its own name', () => ({ key: forger(), kid: 'forged' })],
    ['a key that it does not name', () => ({ kid: null })],
    ['RS384', () => ({ alg: 'RS384' })],
    ['no signature', () => ({ key: 'none' as const })],
  ])('is refused that is signed by %s', async (_name, forge) => {
    const { body } = await send({ idToken: google.idToken(aPerson(), {}, forge()) }).expect(401);
    expect(body.code).toBe('invalid-id-token');
  });

  it.each(['x', 'a.b.c', '..', 'é.é.é', 'x'.repeat(8_192)])(
    'is refused that is none: %s',
    (idToken) => send({ idToken }).expect(401),
  );

  it.each([
    {},
    { idToken: '' },
    { idToken: 12 },
    { idToken: 'x'.repeat(8_193) },
    { idToken: 'x', nonce: '' },
    { idToken: 'x', email: 'someone@example.com' },
    { idToken: 'x', refreshIn: 'url' },
  ])('is asked for as it should be, not as %j', (body) => send(body).expect(422));

  it('with a nonce is good with that nonce alone', async () => {
    const idToken = google.idToken(aPerson(), { nonce: NONCE });
    for (const nonce of [undefined, `${NONCE}x`, NONCE.toUpperCase()]) {
      expect((await send({ idToken, nonce }).expect(401)).body.code).toBe('invalid-id-token');
    }
    await send({ idToken, nonce: NONCE }).expect(200);
    await send({ idToken: google.idToken(aPerson()), nonce: NONCE }).expect(401);
  });

  it.each([
    ['email-unverified', { email_verified: false }],
    ['email-missing', { email: undefined }],
  ])('makes no account without a proved address: %s', async (code, claims) => {
    const idToken = google.idToken(aPerson(), claims);
    expect((await send({ idToken }).expect(403)).body.code).toBe(code);
  });
});

describe('Google’s keys', () => {
  it('are asked for once, and once more for a key that is new', async () => {
    const fresh = await startAgain();
    const before = google.asked['keys'] ?? 0;
    const old = google.idToken(aPerson());
    await Promise.all(Array.from({ length: 10 }, () => send({ idToken: old }, fresh).expect(200)));
    expect(google.asked['keys']).toBe(before + 1);

    google.rotateKeys();
    const rotated = google.idToken(aPerson());
    // So soon after, an unknown key is a forged one.
    await send({ idToken: rotated }, fresh).expect(401);
    expect(google.asked['keys']).toBe(before + 1);
    later(31);
    await send({ idToken: rotated }, fresh).expect(200);
    expect(google.asked['keys']).toBe(before + 2);
    await send({ idToken: old }, fresh).expect(401);
    expect(google.asked['keys']).toBe(before + 2);
    await fresh.close();
  });

  it('are asked for within the hour, so that one that is revoked is gone', async () => {
    const idToken = google.idToken(aPerson(), { iat: now() + 3_600, exp: now() + 7_200 });
    google.rotateKeys();
    later(3_601);
    await send({ idToken }).expect(401);
  });

  it.each([
    'hang' as const,
    'cut' as const,
    'huge' as const,
    { status: 500, body: '' },
    { status: 302, body: '' },
    { status: 200, body: 'not JSON' },
    { status: 200, body: '{}' },
    { status: 200, body: 'null' },
  ])('that cannot be had are no fault of the token: %j', async (fault) => {
    const fresh = await startAgain();
    google.faults.set('keys', fault);
    const idToken = google.idToken(aPerson());
    const answer = await send({ idToken }, fresh).expect(503);
    expect(answer.body.code).toBe('google-unavailable');
    expect(answer.headers['retry-after']).toBe('10');
    // Nobody asks Google about what it would never sign.
    const forged = google.idToken(aPerson(), {}, { alg: 'HS256', key: google.publicPem });
    await send({ idToken: forged }, fresh).expect(401);
    google.faults.clear();
    await send({ idToken }, fresh).expect(200);
    await fresh.close();
  });
});

function clientSecret(): Buffer {
  return createSecretKey(google.variables['GOOGLE_CLIENT_SECRET']!, 'utf8').export();
}
