import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { byStatus, from, manyTimes, send } from './guesses.js';
import { type Account, TestingApp } from './testing-app.js';

const OF_ADDRESS = 20;
const OF_USER = 50;
const METRICS_TOKEN = 'for-the-metrics-alone';

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
    await app.as(gone).post('/api/v1/auth/logout').expect(204);
    const answers = await manyTimes(OF_ADDRESS + 5, () =>
      get('/api/v1/images', bearer(gone.token)),
    );
    expect(byStatus(answers)).toEqual({ 401: OF_ADDRESS, 429: 5 });
  });
});
