import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { registerAdmin } from './administrators.js';
import { byStatus, endMinute, from, manyTimes, send } from './guesses.js';
import { rawRequest, sendRaw } from './raw-http.js';
import { type Account, TestingApp } from './testing-app.js';

const TOKEN = 'Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg.q8Zt2';
const USERS = '/api/v1/admin/users';
const WRONG_TRIES = 10;

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const own = (token: string) => ({ 'x-admin-token': token });

describe('the ADMIN_TOKEN', () => {
  let app: TestingApp;
  let admin: Account;
  let user: Account;
  /** One that nothing was counted of yet. */
  let address: Record<string, string>;
  let addresses = 0;

  beforeAll(async () => {
    const variables = { ADMIN_TOKEN: TOKEN, RATE_LIMITS: 'on', TRUST_PROXY: '127.0.0.1' };
    app = await TestingApp.start({ worker: false, variables });
    admin = await registerAdmin(app);
    user = await app.register();
  });

  afterAll(() => app.close());

  beforeEach(() => {
    addresses += 1;
    address = from(`192.0.2.${addresses}`);
  });

  const get = (headers: Record<string, string>, path = USERS) =>
    send(`${app.url}${path}`, { headers: { ...address, ...headers } });
  const statusOf = async (headers: Record<string, string>, path?: string) =>
    (await get(headers, path)).status;
  /** Uses up the tries of the address. */
  const guess = () => manyTimes(WRONG_TRIES, (index) => get(own(`guess ${index}`)));
  /** How many of its tries are counted. */
  const countedTries = async () => {
    const left = byStatus(await manyTimes(WRONG_TRIES + 2, () => get(own('one more'))));
    return WRONG_TRIES - (left[401] ?? 0);
  };
  const audited = (action: string) =>
    app.database.query(
      `select actor_kind, actor_id, target_id
       from audit_entries join audit_details on entry_id = id
       where action = $1 and address = $2`,
      [action, address['x-forwarded-for']],
    );

  describe('opens the routes of administrators', () => {
    it.each([USERS, '/api/v1/admin/audit', '/api/v1/admin/mail', '/admin/queue-metrics'])(
      'such as %s, sent either way',
      async (path) => {
        expect(await statusOf(bearer(TOKEN), path)).toBe(200);
        expect(await statusOf({ authorization: `bearer   ${TOKEN}` }, path)).toBe(200);
        expect(await statusOf(own(TOKEN), path)).toBe(200);
        expect(await statusOf({}, path)).toBe(401);
      },
    );

    it('such as those that change something, which the audit lays to nobody’s account', async () => {
      const { userId } = await app.register();
      for (const what of ['disable', 'enable']) {
        const at = `${app.url}${USERS}/${userId}/${what}`;
        const { status } = await send(at, {
          method: 'POST',
          headers: { ...address, ...own(TOKEN) },
        });
        expect(status).toBe(200);
      }
      for (const action of ['user.disabled', 'user.enabled']) {
        expect(await audited(action)).toEqual([
          { actor_kind: 'admin-token', actor_id: null, target_id: userId },
        ]);
      }
    });

    it('also to take the role from the last administrator', async () => {
      const only = await registerAdmin(app);
      const at = `${app.url}${USERS}/${only.userId}/roles/ADMIN`;
      const { status, body } = await send(at, { method: 'DELETE', headers: bearer(TOKEN) });
      expect([status, body.roles]).toEqual([200, ['USER']]);
    });

    it('beside a user’s token, and beside a wrong one', async () => {
      expect(await statusOf({ ...own(TOKEN), ...bearer(user.token) })).toBe(200);
      expect(await statusOf({ ...own(TOKEN), ...bearer('wrong') })).toBe(200);
      expect(await statusOf({ ...own('wrong'), ...bearer(TOKEN) })).toBe(200);
      expect(await countedTries()).toBe(0);
    });

    it('and is remembered by the audit as used, once in a while', async () => {
      const answers = await manyTimes(30, () => get(own(TOKEN)));
      expect(byStatus(answers)).toEqual({ 200: 30 });
      expect(await audited('admin-token.used')).toEqual([
        { actor_kind: 'admin-token', actor_id: null, target_id: null },
      ]);
    });
  });

  describe('opens nothing else', () => {
    it('of all that is closed', async () => {
      const { body: document } = await get({}, '/openapi.json');
      const closed = Object.entries<any>(document.paths).flatMap(([path, methods]) =>
        Object.entries<any>(methods).flatMap(([method, { security }]) =>
          path.startsWith('/api/v1/admin/') || security?.length === 0 || security?.length === 2
            ? []
            : [[method.toUpperCase(), path.replaceAll(/\{\w+\}/g, newId())] as const],
        ),
      );
      expect(closed.length).toBeGreaterThan(15);
      for (const [method, path] of closed) {
        for (const headers of [bearer(TOKEN), own(TOKEN)]) {
          const { status } = await send(`${app.url}${path}`, {
            method,
            headers: { ...from(`198.51.100.${addresses}`), ...headers },
          });
          expect([method, path, status]).toEqual([method, path, 401]);
        }
      }
      expect(await countedTries()).toBe(0);
    });

    it.each([
      '/api/v1/admin/../images',
      '/api/v1/admin/%2e%2e/images',
      '/api/v1/admin%2f..%2fimages',
      '/api/v1/admin/..%2fimages',
      '/api/v1/admin/users/../../images',
      '/api/v1/images?/api/v1/admin/',
      '/api/v1/images#/api/v1/admin/',
      '/api/v1/images;/api/v1/admin/',
      '//api/v1/admin/../images',
      '/admin/../api/v1/images',
      '/admin/failed-jobs/..%2f..%2fimages',
      'http://admin/api/v1/images',
      'http://x/api/v1/admin/../images',
      '/API/v1/admin/../images',
    ])('by %s', async (path) => {
      for (const headers of [bearer(TOKEN), own(TOKEN)]) {
        const request = rawRequest('GET', path, { host: 'x', ...address, ...headers });
        const { status, body } = await sendRaw(app.url, request);
        expect([400, 401, 404, 422]).toContain(status);
        expect(body).not.toContain('"items"');
      }
    });
  });

  describe('is guessed ten times a minute from an address', () => {
    it('and then not at all, while the right one works', async () => {
      const answers = await manyTimes(30, (index) =>
        get(index % 2 ? own(`guess ${index}`) : bearer(`guess-${index}`)),
      );
      expect(byStatus(answers)).toEqual({ 401: WRONG_TRIES, 429: 20 });
      const refused = await get(own('wrong'));
      expect([refused.status, refused.body.code]).toEqual([429, 'too-many-requests']);
      const seconds = Number(refused.headers.get('retry-after'));
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(60);
      expect(await statusOf(own(TOKEN))).toBe(200);
      expect(await statusOf(bearer(TOKEN))).toBe(200);
      expect(await statusOf(bearer(admin.token))).toBe(200);
      expect(await statusOf(bearer(user.token))).toBe(403);
      expect(await statusOf({})).toBe(401);
      address = from('192.0.2.250');
      expect(await statusOf(own('wrong'))).toBe(401);
    });

    it('and again when the minute is over', async () => {
      await guess();
      expect(await statusOf(own('wrong'))).toBe(429);
      await endMinute(app);
      expect(await statusOf(own('wrong'))).toBe(401);
    });

    it('which the audit remembers, and nothing beyond', async () => {
      await manyTimes(30, () => get(own(TOKEN.slice(1))));
      expect(await audited('admin-token.refused')).toEqual(
        Array.from({ length: WRONG_TRIES }, () => ({
          ...{ actor_kind: 'anonymous', actor_id: null, target_id: null },
        })),
      );
    });

    it.each<[string, Record<string, string>]>([
      ['a user’s token', { authorization: 'of a user' }],
      ['a token of nobody that is shaped like one', bearer('a.b.c')],
      ['one that is not signed', bearer('eyJhbGciOiJub25lIn0.e30.')],
      ['no token', {}],
      ['an empty one', own('')],
      ['an empty Bearer', { authorization: 'Bearer ' }],
      ['another scheme', { authorization: 'Basic eDp5' }],
    ])('not counting %s', async (_name, headers) => {
      const { authorization } = headers;
      const sent = authorization === 'of a user' ? bearer(user.token) : headers;
      const answers = await manyTimes(WRONG_TRIES + 2, () => get(sent));
      expect(byStatus(answers)[429]).toBeUndefined();
      expect(await countedTries()).toBe(0);
    });

    it.each<[string, Record<string, string>]>([
      ['of another length', own(`${TOKEN}x`)],
      ['in other letters', own(TOKEN.toLowerCase())],
      ['that is no Bearer token by its letters', bearer('§ what is this')],
      ['of two parts', bearer('a.b')],
      ['of four parts', bearer('a.b.c.d')],
      ['beside an administrator’s own', { ...own('wrong'), authorization: 'of an admin' }],
    ])('counting one %s', async (_name, headers) => {
      const sent = 'authorization' in headers && headers['authorization'] === 'of an admin';
      const all = sent ? { ...headers, ...bearer(admin.token) } : headers;
      // Fetch sends what can stand in a header alone.
      const bytes = rawRequest('GET', USERS, { host: 'x', ...address, ...all });
      expect((await sendRaw(app.url, bytes)).status).toBe(401);
      expect(await countedTries()).toBe(1);
    });

    it('on routes of administrators alone', async () => {
      await manyTimes(WRONG_TRIES + 2, () => get(own('wrong'), '/api/v1/images'));
      await manyTimes(WRONG_TRIES + 2, () => get(bearer('wrong'), '/api/v1/admin/nothing'));
      expect(await countedTries()).toBe(0);
      expect(await statusOf(own('wrong'), '/admin/queue-metrics')).toBe(429);
    });
  });

  it('is none when its header comes twice', async () => {
    const twice = (name: string, [one, two]: [string, string]) =>
      sendRaw(
        app.url,
        rawRequest('GET', USERS, { host: 'x', ...address, [name]: `${one}\r\n${name}: ${two}` }),
      );
    for (const pair of [
      [TOKEN, TOKEN],
      [TOKEN, 'wrong'],
      ['wrong', TOKEN],
    ] as [string, string][]) {
      const [one, two] = pair;
      expect((await twice('x-admin-token', pair)).status).toBe(401);
      const bearers: [string, string] = [`Bearer ${one}`, `Bearer ${two}`];
      expect((await twice('authorization', bearers)).status).toBe(401);
    }
  });

  it('is in no answer, no row of the audit and no counter', async () => {
    const secret = newId();
    await get(own(secret));
    await get(bearer(secret));
    await get(own(TOKEN));
    const rows = await app.database.query(
      `select audit_entries::text as row from audit_entries
       union all select audit_details::text from audit_details
       union all select counters::text from counters`,
    );
    const all = JSON.stringify([rows, (await get(own(secret))).body]);
    expect(all).not.toContain(secret);
    expect(all).not.toContain(TOKEN);
  });
});

describe('requests with an x-admin-token', () => {
  const OF_ADDRESS = 20;
  let app: TestingApp;

  beforeAll(async () => {
    const variables = {
      ADMIN_TOKEN: TOKEN,
      RATE_LIMITS: 'on',
      TRUST_PROXY: '127.0.0.1',
      ADDRESS_REQUESTS_PER_MINUTE: String(OF_ADDRESS),
    };
    app = await TestingApp.start({ worker: false, variables });
  });

  afterAll(() => app.close());

  it.each([
    ['/api/v1/images', '198.51.100.1'],
    ['/api/v1/files/x', '198.51.100.2'],
    ['/api/v1/nothing', '198.51.100.3'],
    ['/docs', '198.51.100.4'],
    ['/problems', '198.51.100.5'],
  ])('are its address’s elsewhere, as for %s', async (path, ip) => {
    const address = from(ip);
    const headers = { ...address, ...own(TOKEN) };
    const answers = await manyTimes(OF_ADDRESS + 5, () => send(`${app.url}${path}`, { headers }));
    expect(byStatus(answers)[429]).toBe(5);
    // And those with the right one work from there.
    expect((await send(`${app.url}${USERS}`, { headers })).status).toBe(200);
  });
});

describe('without an ADMIN_TOKEN', () => {
  let app: TestingApp;

  beforeAll(async () => {
    app = await TestingApp.start({ worker: false, variables: { RATE_LIMITS: 'on' } });
  });

  afterAll(() => app.close());

  it('nothing opens, and nothing is counted', async () => {
    const admin = await registerAdmin(app);
    const tries = [own(''), own('undefined'), own(TOKEN), bearer(TOKEN), bearer('undefined')];
    for (let round = 0; round < 3; round += 1) {
      for (const headers of tries) {
        expect((await send(`${app.url}${USERS}`, { headers })).status).toBe(401);
      }
    }
    const headers = { ...own(TOKEN), ...bearer(admin.token) };
    expect((await send(`${app.url}${USERS}`, { headers })).status).toBe(200);
  });
});
