import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { openApiText } from '../src/api-document.js';
import { newId } from '../src/core/ids.js';
import { productVariables } from './environment.js';
import { rawRequest, sendRaw } from './raw-http.js';
import { type Account, TestingApp } from './testing-app.js';

const FORMER_SECRET = 'the secret that was in use before and was long enough';

let app: TestingApp;
let account: Account;
/** What the account's own token says, which the forged ones are made from. */
let header: Record<string, unknown>;
let claims: Record<string, unknown>;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { JWT_PREVIOUS_SECRETS: FORMER_SECRET },
  });
  account = await app.register();
  const decoded = jwt.decode(account.token, { complete: true })!;
  header = { ...decoded.header };
  claims = { ...(decoded.payload as object) };
});

afterAll(() => app.close());

const PATH = '/api/v1/images';
const now = () => Math.floor(Date.now() / 1_000);
const encode = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
const get = (token: string) => app.http.get(PATH).set('authorization', `Bearer ${token}`);

/** Signs whatever it is given, which libraries refuse to do. */
function signed(
  head: unknown = header,
  body: unknown = claims,
  { key = app.variables['JWT_SECRET']!, hash = 'sha256' } = {},
): string {
  const text = `${encode(head)}.${encode(body)}`;
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`;
}

/** With another algorithm in its header, and signed so. */
function signedBy(alg: string, hash: string): string {
  return signed({ ...header, alg }, claims, { hash });
}

/** Signed with a key pair of the forger's own. */
function signedByPair(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const text = `${encode({ ...header, alg: 'RS256' })}.${encode(claims)}`;
  return `${text}.${createSign('sha256').update(text).sign(privateKey, 'base64url')}`;
}

const without = (object: Record<string, unknown>, name: string) =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
const [HEAD, BODY, SIGNATURE] = [0, 1, 2];
const part = (index: number) => account.token.split('.')[index]!;

const MUTANTS: [string, () => string][] = [
  ['alg none, without a signature', () => `${encode({ ...header, alg: 'none' })}.${part(BODY)}.`],
  ['alg None', () => `${encode({ ...header, alg: 'None' })}.${part(BODY)}.`],
  ['alg none, with the signature', () => encode({ ...header, alg: 'none' }) + tail()],
  ['alg none, signed', () => signed({ ...header, alg: 'none' })],
  ['no alg', () => signed(without(header, 'alg'))],
  ['an empty alg', () => signed({ ...header, alg: '' })],
  ['alg in small letters', () => signed({ ...header, alg: 'hs256' })],
  ['alg as a list', () => signed({ ...header, alg: ['HS256'] })],
  ['HS384', () => signedBy('HS384', 'sha384')],
  ['HS512', () => signedBy('HS512', 'sha512')],
  ['RS256 by the forger’s pair', signedByPair],
  ['RS256 in the header of an HMAC', () => signed({ ...header, alg: 'RS256' })],
  ['ES256 in the header of an HMAC', () => signed({ ...header, alg: 'ES256' })],
  ['an empty key', () => signed(header, claims, { key: '' })],
  ['another key', () => signed(header, claims, { key: 'x'.repeat(64) })],
  ['the key id as the key', () => signed(header, claims, { key: String(header['kid']) })],
  [
    'the link secret as the key',
    () => signed(header, claims, { key: app.variables['APP_SECRET']! }),
  ],
  ['a foreign kid', () => signed({ ...header, kid: '0123456789abcdef' })],
  ['a kid that is a path', () => signed({ ...header, kid: '/dev/null' })],
  ['a kid that is SQL', () => signed({ ...header, kid: `' or true --` })],
  ['no kid', () => signed(without(header, 'kid'))],
  ['the kid of another key', () => signed(header, claims, { key: FORMER_SECRET })],
  [
    'a key of its own in the header',
    () => signed({ ...without(header, 'kid'), jwk: { kty: 'oct', k: 'eA' } }),
  ],
  ['another type', () => signed({ ...header, typ: 'JWT' })],
  ['no type', () => signed(without(header, 'typ'))],
  ['another issuer', () => signed(header, { ...claims, iss: 'someone' })],
  ['no issuer', () => signed(header, without(claims, 'iss'))],
  ['another audience', () => signed(header, { ...claims, aud: 'someone' })],
  ['no audience', () => signed(header, without(claims, 'aud'))],
  ['expired', () => signed(header, { ...claims, exp: now() - 1 })],
  ['no expiry', () => signed(header, without(claims, 'exp'))],
  ['an expiry that is text', () => signed(header, { ...claims, exp: String(now() + 60) })],
  ['not yet valid', () => signed(header, { ...claims, nbf: now() + 60 })],
  ['no subject', () => signed(header, without(claims, 'sub'))],
  ['a subject that is no id', () => signed(header, { ...claims, sub: 'me' })],
  ['nobody’s subject', () => signed(header, { ...claims, sub: newId() })],
  ['no session', () => signed(header, without(claims, 'sid'))],
  ['nobody’s session', () => signed(header, { ...claims, sid: newId() })],
  ['an invented role', () => signed(header, { ...claims, roles: ['GOD'] })],
  [
    'a role more than was signed',
    () => `${part(HEAD)}.${encode({ ...claims, roles: ['ADMIN'] })}.${part(SIGNATURE)}`,
  ],
  [
    'a header twice in one',
    () => `${encode(`{"alg":"none",${JSON.stringify(header).slice(1)}`)}${tail()}`,
  ],
  ['a header too many', () => `${part(HEAD)}.${account.token}`],
  ['a part too few', () => `${part(HEAD)}.${part(BODY)}`],
  ['no signature', () => `${part(HEAD)}.${part(BODY)}.`],
  ['a truncated signature', () => account.token.slice(0, -1)],
  ['a longer signature', () => `${account.token}AAAA`],
  ['a signature of zeros', () => `${part(HEAD)}.${part(BODY)}.${'A'.repeat(43)}`],
  ['twice the token', () => `${account.token}${account.token}`],
  ['claims that are no object', () => signed(header, '"text"')],
  ['claims that are no JSON', () => signed(header, '{')],
  ['a header that is no JSON', () => signed('{')],
  ['the refresh token', () => account.refreshToken],
  ['“undefined”', () => 'undefined'],
];

function tail(): string {
  return account.token.slice(account.token.indexOf('.'));
}

describe('a closed route', () => {
  it('takes the token that the forged ones below are made from', async () => {
    await get(account.token).expect(200);
    await get(signed()).expect(200);
  });

  it.each(MUTANTS)('refuses a token with %s', async (_name, forge) => {
    const answer = await get(forge()).expect(401);
    expect(answer.body.code).toBe('unauthenticated');
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  it.each([
    ['two of them', ['Bearer GOOD', 'Bearer bad']],
    ['two of the same', ['Bearer GOOD', 'Bearer GOOD']],
    ['another scheme first', ['Basic eDp5', 'Bearer GOOD']],
    ['another scheme', ['Token GOOD']],
    ['two in one', ['Bearer GOOD, Bearer GOOD']],
    ['none', []],
  ])('refuses an Authorization header that is %s', async (_name, values) => {
    const lines = values.map(
      (value) => `authorization: ${value.replaceAll('GOOD', account.token)}\r\n`,
    );
    const head = `GET ${PATH} HTTP/1.1\r\nhost: x\r\n${lines.join('')}connection: close\r\n\r\n`;
    const { status, body } = await sendRaw(app.url, Buffer.from(head, 'latin1'));
    expect(status).toBe(401);
    expect(JSON.parse(body).code).toBe('unauthenticated');
  });

  it.each(['?token=TOKEN', '?access_token=TOKEN', '?authorization=Bearer%20TOKEN'])(
    'takes no token from the address: %s',
    async (query) => {
      const { status } = await app.http.get(PATH + query.replace('TOKEN', account.token));
      expect(status).toBe(401);
    },
  );
});

describe('a secret that has been changed', () => {
  it('leaves those signed in whose tokens it has signed', async () => {
    const before = await TestingApp.start({
      worker: false,
      database: app.database,
      variables: { ...productVariables(app.database, ''), JWT_SECRET: FORMER_SECRET },
    });
    const someone = await before.register();
    expect((await get(someone.token)).status).toBe(200);
    const refresh = (refreshToken: string) =>
      app.http.post('/api/v1/auth/refresh').send({ refreshToken });
    const { body } = await refresh(someone.refreshToken).expect(200);
    const again = await refresh(someone.refreshToken).expect(200);
    expect(again.body.refreshToken).toBe(body.refreshToken);
    expect(jwt.decode(body.accessToken, { complete: true })?.header.kid).toBe(header['kid']);
    await before.app.close();
  });
});

/** Other spellings of an address, and of which routes they are all the same one. */
const SPELLINGS: [string, 'any' | 'ends in a parameter' | 'none', (path: string) => string][] = [
  ['as it is', 'any', (path) => path],
  ['a query', 'any', (path) => `${path}?public=true`],
  ['a fragment', 'any', (path) => `${path}#x`],
  ['an absolute form', 'any', (path) => `http://elsewhere.example${path}`],
  ['an encoded letter', 'any', (path) => path.replace('/api', '/%61pi')],
  ['a parameter', 'ends in a parameter', (path) => `${path};x`],
  ['a NUL', 'ends in a parameter', (path) => `${path}%00`],
  ['a parameter within', 'none', (path) => path.replace('/v1/', '/v1;x=1/')],
  ['a slash at the end', 'none', (path) => `${path}/`],
  ['two slashes in front', 'none', (path) => `/${path}`],
  ['two slashes within', 'none', (path) => path.replace('/v1/', '/v1//')],
  ['an encoded slash', 'none', (path) => path.replace('/v1/', '/v1%2f')],
  ['a dot', 'none', (path) => path.replace('/v1/', '/v1/./')],
  ['two dots', 'none', (path) => path.replace('/v1/', '/v1/x/../')],
  ['capitals', 'none', (path) => path.toUpperCase()],
];
/** OPTIONS is not among them: it is answered whoever asks, and tells nothing. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'PROPFIND'];
/** Where the first clients ask for what is closed: src/first-client-routes.ts. */
const FIRST_CLIENT_ADDRESSES = [
  ['POST', '/upload'],
  ['GET', `/image/metadata/${newId()}`],
  ['GET', '/admin/queue-metrics'],
  ['GET', '/admin/failed-jobs'],
  ['POST', `/admin/failed-jobs/${newId()}/retry`],
  ['DELETE', `/admin/failed-jobs/${newId()}`],
] as const;
/** How a request is refused that no route takes; another route may have it, and is closed. */
const REFUSED = [400, 401, 404, 405];

describe('every route', () => {
  /** By path and method as the document has them, HEAD as GET: those that need somebody signed in. */
  let closed: Map<string, Set<string>>;
  let open: Set<string>;

  beforeAll(async () => {
    const document = JSON.parse(await openApiText());
    closed = new Map();
    open = new Set();
    for (const [path, operations] of Object.entries<any>(document.paths)) {
      for (const [name, { security = document.security }] of Object.entries<any>(operations)) {
        const isClosed = security.length > 0 && security.every((each: object) => !isEmpty(each));
        for (const method of name === 'get' ? ['GET', 'HEAD'] : [name.toUpperCase()]) {
          if (isClosed) closed.set(path, (closed.get(path) ?? new Set()).add(method));
          else open.add(`${method} ${path}`);
        }
      }
    }
  });

  const isEmpty = (object: object) => Object.keys(object).length === 0;
  const ask = async (method: string, path: string) =>
    (await sendRaw(app.url, rawRequest(method, path, {}))).status;

  it('is closed that does not say otherwise, however its address is written', async () => {
    expect(closed.size).toBeGreaterThan(40);
    const wrong: string[] = [];
    for (const [path, methods] of closed) {
      const address = path.replaceAll(/\{\w+\}/g, newId());
      for (const [name, reached, write] of SPELLINGS) {
        const isReached = reached === 'any' || (reached !== 'none' && path.endsWith('}'));
        const asked = METHODS.filter((method) => !open.has(`${method} ${path}`));
        const statuses = await Promise.all(asked.map((method) => ask(method, write(address))));
        statuses.forEach((status, index) => {
          const method = asked[index]!;
          const right = isReached && methods.has(method) ? [401] : REFUSED;
          if (!right.includes(status)) wrong.push(`${method} ${path} with ${name}: ${status}`);
        });
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  it.each(FIRST_CLIENT_ADDRESSES)(
    'is closed also at the address of the first clients: %s %s',
    async (method, path) => {
      expect(await ask(method, path)).toBe(401);
      const wrong: string[] = [];
      for (const [name, , write] of SPELLINGS) {
        const statuses = await Promise.all(METHODS.map((each) => ask(each, write(path))));
        statuses.forEach((status, index) => {
          if (!REFUSED.includes(status)) wrong.push(`${METHODS[index]} with ${name}: ${status}`);
        });
      }
      expect(wrong).toEqual([]);
    },
  );
});
