import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { byStatus, from, manyTimes, send, signIn } from './guesses.js';
import { type Account, TestingApp } from './testing-app.js';

const OF_ADDRESS = 20;
const OF_USER = 150;
const METRICS_TOKEN = 'for-the-metrics-alone';
const ADMIN_TOKEN = 'Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg.q8Zt2';

let app: TestingApp;
let account: Account;
let stranger: Account;
/** One that nothing was counted of yet. */
let address: Record<string, string>;
let addresses = 0;

beforeAll(async () => {
  const variables = {
    RATE_LIMITS: 'on',
    ADDRESS_REQUESTS_PER_MINUTE: String(OF_ADDRESS),
    USER_REQUESTS_PER_MINUTE: String(OF_USER),
    TRUST_PROXY: '127.0.0.1',
    CORS_ORIGINS: 'https://app.example.com',
    METRICS_TOKEN,
    ADMIN_TOKEN,
  };
  app = await TestingApp.start({ worker: false, variables });
  [account, stranger] = await Promise.all([app.register(), app.register()]);
});

afterAll(() => app.close());

beforeEach(() => {
  addresses += 1;
  address = from(`192.0.2.${addresses}`);
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const get = (path: string, headers: Record<string, string> = {}) =>
  send(`${app.url}${path}`, { headers: { ...address, ...headers } });

/** The request is refused while its body is read, or before. */
const UNREADABLE: [string, string, string, number][] = [
  ['malformed JSON', 'application/json', '{"email":', 400],
  ['text', 'text/plain', 'email', 415],
  ['much broken JSON', 'application/json', `{"email":"${'x'.repeat(99_000)}`, 400],
  ['too much JSON', 'application/json', `{"email":"${'x'.repeat(200_000)}"}`, 413],
];
const OF_ADMINISTRATORS = `/api/v1/admin/users/${newId()}/disable`;
const postTo = async (path: string, type: string, body: string, token = {}) => {
  const headers = { ...address, 'content-type': type, ...token };
  const response = await fetch(`${app.url}${path}`, { method: 'POST', body, headers });
  await response.body?.cancel();
  return response;
};

describe('an address', () => {
  it.each([
    ['a public route', '/api/v1/files/x', {}],
    ['a closed one', '/api/v1/images', {}],
    ['a closed one with a token that is none', '/api/v1/images', bearer('x.y.z')],
    ['a public one with such a token', '/api/v1/files/x', bearer('x.y.z')],
    ['one that is not there', '/api/v1/nothing', {}],
    ['one that is not there, with a token', '/nothing', bearer('x.y.z')],
    ['a page, with a token', '/docs', bearer('x.y.z')],
    ['another scheme of signing in', '/api/v1/images', { authorization: 'Basic eDp5' }],
  ])('has so many requests a minute for %s', async (_name, path, headers) => {
    const statuses = byStatus(await manyTimes(OF_ADDRESS + 5, () => get(path, headers)));
    expect(statuses[429]).toBe(5);
    expect(Object.keys(statuses)).toHaveLength(2);
  });

  describe.each<[string, Record<string, string>]>([
    ['no token', {}],
    ['a token that is none', bearer('x.y.z')],
    ['another scheme', { authorization: 'Basic eDp5' }],
    ['an x-admin-token', { 'x-admin-token': 'wrong' }],
    ['the right one, where it opens nothing', { 'x-admin-token': ADMIN_TOKEN }],
    ['both', { ...bearer('x.y.z'), 'x-admin-token': 'wrong' }],
  ])('has as many with %s', (_name, token) => {
    it.each(UNREADABLE)('for %s, which no guard sees', async (_what, type, body, status) => {
      const post = () => postTo('/api/v1/auth/login', type, body, token);
      const answers = await manyTimes(60, post);
      expect(byStatus(answers)).toEqual({ [status]: OF_ADDRESS, 429: 60 - OF_ADDRESS });
    });
  });

  it.each(UNREADABLE)(
    'has as many for %s with guesses at the ADMIN_TOKEN',
    async (_what, type, body, status) => {
      const tokens = [{ 'x-admin-token': 'wrong' }, bearer('wrong')];
      const answers = await manyTimes(60, (index) =>
        postTo(OF_ADMINISTRATORS, type, body, tokens[index % 2]),
      );
      expect(byStatus(answers)).toEqual({ [status]: OF_ADDRESS, 429: 60 - OF_ADDRESS });
    },
  );

  it('is told when it may come again, also a script of another origin', async () => {
    const origin = { origin: 'https://app.example.com' };
    await manyTimes(OF_ADDRESS, () => get('/api/v1/images'));
    const { status, body, headers } = await get('/api/v1/images', origin);
    expect([status, body.code]).toEqual([429, 'too-many-requests']);
    expect(headers.get('ratelimit-limit')).toBe(String(OF_ADDRESS));
    expect(headers.get('ratelimit-remaining')).toBe('0');
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    expect(headers.get('access-control-expose-headers')).toContain('ratelimit-limit');
  });

  it('may be used up without keeping those from working who are signed in behind it', async () => {
    expect((await get('/api/v1/images', bearer(stranger.token))).status).toBe(200);
    await manyTimes(OF_ADDRESS + 1, () => get('/api/v1/images'));
    expect((await get('/api/v1/images')).status).toBe(429);
    expect((await get('/api/v1/images', bearer(stranger.token))).status).toBe(200);
  });

  it('asks as often as it likes whether the product lives', async () => {
    for (const path of ['/health', '/health/ready', '/health/capabilities', '/metrics']) {
      const statuses = byStatus(
        await manyTimes(OF_ADDRESS + 5, () => get(path, bearer(METRICS_TOKEN))),
      );
      expect([path, statuses]).toEqual([path, { 200: OF_ADDRESS + 5 }]);
    }
    expect((await get('/health-or-not')).status).toBe(404);
    expect((await get('/api/v1/images')).status).toBe(401);
  });

  it('is not charged for what browsers ask before they send', async () => {
    const preflight = () =>
      send(`${app.url}/api/v1/images`, {
        method: 'OPTIONS',
        headers: {
          ...address,
          origin: 'https://app.example.com',
          'access-control-request-method': 'GET',
        },
      });
    expect(byStatus(await manyTimes(OF_ADDRESS + 5, preflight))).toEqual({ 204: OF_ADDRESS + 5 });
  });
});

describe('a user', () => {
  it('has so many requests a minute, from wherever they come, and others have theirs', async () => {
    await get('/api/v1/images', bearer(account.token));
    const answers = await manyTimes(OF_USER + 5, (index) =>
      send(`${app.url}/api/v1/images`, {
        headers: { ...bearer(account.token), ...from(`198.51.100.${index}`) },
      }),
    );
    expect(byStatus(answers)).toEqual({ 200: OF_USER, 429: 5 });
    const { headers } = await get('/api/v1/images', bearer(account.token));
    expect(headers.get('ratelimit-limit')).toBe(String(OF_USER));
    expect((await get('/api/v1/images', bearer(stranger.token))).status).toBe(200);
  });

  it('who has signed out is counted by their address', async () => {
    const gone = await app.register();
    const headers = bearer(gone.token);
    expect((await get('/api/v1/images', headers)).status).toBe(200);
    await app.as(gone).post('/api/v1/auth/logout').expect(204);
    // By which the process learns of it.
    expect((await get('/api/v1/images', headers)).status).toBe(401);
    address = from('198.51.100.200');
    const answers = await manyTimes(OF_ADDRESS + 5, () => get('/api/v1/images', headers));
    expect(byStatus(answers)).toEqual({ 401: OF_ADDRESS, 429: 5 });
  });

  it('who is known counts also where no guard looks', async () => {
    const someone = await app.register();
    const headers = bearer(someone.token);
    expect((await get('/api/v1/images', headers)).status).toBe(200);
    const answers = await manyTimes(OF_USER + 5, (index) => {
      address = from(`203.0.113.${index}`);
      return postTo('/api/v1/auth/login', 'application/json', '{', headers);
    });
    expect(byStatus(answers)).toEqual({ 400: OF_USER, 429: 5 });
    expect((await get('/api/v1/images', headers)).status).toBe(429);
    expect((await get('/api/v1/images')).status).toBe(401);
  });

  it('is counted by their address until the process has let them in', async () => {
    const someone = await app.register();
    await manyTimes(OF_ADDRESS, () => get('/api/v1/images'));
    const headers = bearer(someone.token);
    expect((await get('/api/v1/images', headers)).status).toBe(429);
    const known = address;
    address = from('198.51.100.201');
    expect((await get('/api/v1/images', headers)).status).toBe(200);
    address = known;
    expect((await get('/api/v1/images', headers)).status).toBe(200);
  });

  it('loses little of their limit to who has the token of a session that is over', async () => {
    const someone = await app.register();
    const { body: again } = await signIn(app.url, someone, address);
    const headers = bearer(someone.token);
    expect((await get('/api/v1/images', headers)).status).toBe(200);
    await app.as(someone).post('/api/v1/auth/logout').expect(204);
    // No guard looks at these, and so none finds that the session is over.
    const spend = () => postTo('/api/v1/auth/login', 'text/plain', 'x', headers);
    expect(byStatus(await manyTimes(100, spend))).toEqual({ 415: 100 });
    const limitOf = async () => (await spend()).headers.get('ratelimit-limit');
    const limit = await eventually(limitOf, (told) => told !== null);
    expect(limit).toBe(String(OF_ADDRESS));
    expect(byStatus(await manyTimes(OF_USER, spend))).toEqual({ 429: OF_USER });
    address = from('198.51.100.202');
    expect((await get('/api/v1/images', bearer(again.accessToken))).status).toBe(200);
    expect((await get('/api/v1/images', bearer(again.accessToken))).status).toBe(200);
  });

  it('has a limit with the ADMIN_TOKEN as well', async () => {
    const token = { 'x-admin-token': ADMIN_TOKEN };
    const answers = await manyTimes(OF_USER + 5, (index) => {
      address = from(`203.0.113.${index}`);
      return postTo(OF_ADMINISTRATORS, 'application/json', '{', token);
    });
    expect(byStatus(answers)).toEqual({ 400: OF_USER, 429: 5 });
  });
});
