import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { registerAdmin } from './administrators.js';
import { finishedMails, tokenIn } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

const USERS = '/api/v1/admin/users';

let app: TestingApp;
let admin: Account;

beforeAll(async () => {
  app = await TestingApp.start();
  admin = await registerAdmin(app);
});

afterAll(() => app.close());

const list = async (query: Record<string, string | number>, as = admin) => {
  const { body } = await app.as(as).get(USERS).query(query).expect(200);
  return body;
};
const show = async (id: string) => (await app.as(admin).get(`${USERS}/${id}`).expect(200)).body;
const ids = ({ items }: { items: { id: string }[] }) => items.map(({ id }) => id);
const change = (id: string, what: string, as = admin) => app.as(as).post(`${USERS}/${id}/${what}`);
const addRole = (id: string, role: unknown, as = admin) =>
  app.as(as).post(`${USERS}/${id}/roles`).send({ role });
const removeRole = (id: string, role = 'ADMIN', as = admin) =>
  app.as(as).delete(`${USERS}/${id}/roles/${role}`);
const signIn = ({ email, password }: Account) =>
  app.http.post('/api/v1/auth/login').send({ email, password });

/** What the audit holds of an account, the oldest first. */
const audited = (id: string, action: string) =>
  app.database.query<{ actor_kind: string; actor_id: string | null; before: any; after: any }>(
    `select actor_kind, actor_id, before, after
     from audit_entries join audit_details on entry_id = id
     where target_id = $1 and action like $2 order by created_at, id`,
    [id, action],
  );

describe('accounts', () => {
  it('are listed with their status, the newest first', async () => {
    const account = await app.register();
    const { items } = await list({ limit: 1 });
    expect(items).toEqual([
      {
        id: account.userId,
        email: account.email,
        firstName: 'Someone',
        lastName: null,
        name: 'Someone',
        roles: ['USER'],
        language: 'en',
        coins: 0,
        emailVerified: false,
        emailVerifiedAt: null,
        disabledAt: null,
        hasPassword: true,
        hasGoogle: false,
        createdAt: expect.stringMatching(/^\d{4}-.*T.*Z$/),
        updatedAt: expect.stringMatching(/^\d{4}-.*T.*Z$/),
      },
    ]);
  });

  it('are shown with their studios, and how they are used', async () => {
    const account = await app.register('studio');
    await signIn(account).expect(200);
    expect(await show(account.userId)).toMatchObject({
      id: account.userId,
      roles: ['USER'],
      studios: [{ name: 'Someone', role: 'OWNER' }],
      liveSessions: 2,
      lastUsedAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    });
    expect(JSON.stringify(await show(account.userId))).not.toMatch(/argon|hash/i);
  });

  it('come in pages that lose nobody, with a total', async () => {
    const mark = newId();
    const made: string[] = [];
    for (let each = 0; each < 5; each += 1) {
      const { body } = await app.http
        .post('/api/v1/auth/register')
        .send({ email: `${each}-${mark}@example.com`, password: 'test123', name: 'x' })
        .expect(201);
      made.unshift(body.user.id);
    }
    const first = await list({ text: mark, limit: 2, total: 'true' });
    expect(first.total).toBe(5);
    const second = await list({ text: mark, limit: 2, cursor: first.nextCursor });
    const third = await list({ text: mark, limit: 2, cursor: second.nextCursor });
    expect([first, second, third].flatMap(ids)).toEqual(made);
    expect(third.nextCursor).toBeNull();
    expect(ids(await list({ text: mark, limit: 2, offset: 3 }))).toEqual(made.slice(3));
  });

  it('are found by part of their address, their name or their studio', async () => {
    const [person, studio, other] = [
      await app.register(),
      await app.register('studio'),
      await app.register(),
    ];
    const mark = newId().slice(-12);
    await app.database.query(
      `update users set first_name = 'Ana 100%', last_name = $2 where id = $1`,
      [person.userId, `O'Hara_${mark}`],
    );
    await app.database.query(
      `update studios set name = $2 where id in (
         select studio_id from studio_members where user_id = $1)`,
      [studio.userId, `Studio ${mark} \\`],
    );
    const found = async (text: string) => ids(await list({ text }));
    expect(await found(mark.toUpperCase())).toEqual([studio.userId, person.userId]);
    expect(await found(`100% o'hara_${mark}`)).toEqual([person.userId]);
    expect(await found(`studio ${mark} \\`)).toEqual([studio.userId]);
    expect(await found(other.email.slice(3).toUpperCase())).toEqual([other.userId]);
    expect(await found(`O'Hara%${mark}`)).toEqual([]);
    expect(await found("' or true --")).toEqual([]);
  });

  it('are filtered by role, and by being disabled, verified or linked to Google', async () => {
    const mark = newId();
    const [one, two] = [await app.register(), await app.register()];
    await app.database.query(
      `update users set last_name = $2, roles = '{USER,ADMIN}', disabled_at = now(),
         email_verified_at = now(), google_id = $2 where id = $1`,
      [one.userId, mark],
    );
    await app.database.query('update users set last_name = $2 where id = $1', [two.userId, mark]);
    const of = async (query: Record<string, string>) => ids(await list({ text: mark, ...query }));
    expect(await of({})).toEqual([two.userId, one.userId]);
    expect(await of({ role: 'ADMIN' })).toEqual([one.userId]);
    expect(await of({ role: 'USER' })).toEqual([two.userId, one.userId]);
    for (const filter of ['disabled', 'verified', 'google']) {
      expect([filter, await of({ [filter]: 'true' })]).toEqual([filter, [one.userId]]);
      expect([filter, await of({ [filter]: 'false' })]).toEqual([filter, [two.userId]]);
    }
    expect(await of({ role: 'ADMIN', disabled: 'false' })).toEqual([]);
  });

  it.each(['role=OWNER', 'disabled=maybe', 'limit=101', 'cursor=x', 'text=%00', 'text=', 'x=1'])(
    'are not listed by %s',
    async (query) => {
      await app.as(admin).get(`${USERS}?${query}`).expect(422);
    },
  );
});

describe('the routes of administrators', () => {
  it('are closed to everybody else, each of them', async () => {
    const user = await app.register();
    const { body: document } = await app.http.get('/openapi.json').expect(200);
    const routes = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
      path.startsWith('/api/v1/admin/')
        ? Object.keys(methods).map((method): [string, string] => [method, path])
        : [],
    );
    expect(routes.length).toBeGreaterThan(15);
    for (const [method, path] of routes) {
      const at = `${app.url}${path.replaceAll(/\{\w+\}/g, newId())}`;
      const send = (headers: Record<string, string>) =>
        fetch(at, { method: method.toUpperCase(), headers });
      const told = [
        (await send({})).status,
        (await send({ authorization: `Bearer ${user.token}` })).status,
      ];
      expect([method, path, told]).toEqual([method, path, [401, 403]]);
    }
  });

  it('know no account that is not there', async () => {
    const at = `${USERS}/${newId()}`;
    const requests = [
      app.as(admin).get(at),
      app.as(admin).post(`${at}/roles`).send({ role: 'ADMIN' }),
      app.as(admin).delete(`${at}/roles/ADMIN`),
      app.as(admin).post(`${at}/disable`),
      app.as(admin).post(`${at}/enable`),
      app.as(admin).get(`${at}/sessions`),
      app.as(admin).delete(`${at}/sessions`),
    ];
    for (const { status, body } of await Promise.all(requests)) {
      expect([status, body.code]).toEqual([404, 'not-found']);
    }
    await app.as(admin).get(`${USERS}/1`).expect(422);
  });
});

describe('roles', () => {
  it('are given and taken away, and count with the next request', async () => {
    const account = await app.register();
    const asked = () => app.as(account).get(USERS);
    await asked().expect(403);
    const given = await addRole(account.userId, 'ADMIN').expect(200);
    expect(given.body).toMatchObject({ id: account.userId, roles: ['USER', 'ADMIN'] });
    await asked().expect(200);
    // A token that says so itself.
    const { body: signedIn } = await signIn(account).expect(200);
    expect(signedIn.user.roles).toEqual(['USER', 'ADMIN']);
    const taken = await removeRole(account.userId).expect(200);
    expect(taken.body.roles).toEqual(['USER']);
    await asked().expect(403);
    await app
      .as({ ...account, token: signedIn.accessToken })
      .get(USERS)
      .expect(403);
  });

  it('are audited when they change, and not when they are so already', async () => {
    const { userId } = await app.register();
    for (let each = 0; each < 2; each += 1) await addRole(userId, 'ADMIN').expect(200);
    await addRole(userId, 'USER').expect(200);
    for (let each = 0; each < 2; each += 1) await removeRole(userId).expect(200);
    const [one, both] = [{ roles: ['USER'] }, { roles: ['USER', 'ADMIN'] }];
    const by = { actor_kind: 'user', actor_id: admin.userId };
    expect(await audited(userId, 'user.role-added')).toEqual([{ ...by, before: one, after: both }]);
    expect(await audited(userId, 'user.role-removed')).toEqual([
      { ...by, before: both, after: one },
    ]);
  });

  it('are given once by twenty who give them at once', async () => {
    const { userId } = await app.register();
    const answers = await Promise.all(Array.from({ length: 20 }, () => addRole(userId, 'ADMIN')));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect((await show(userId)).roles).toEqual(['USER', 'ADMIN']);
    expect(await audited(userId, 'user.role-added')).toHaveLength(1);
  });

  it.each([{ role: 'OWNER' }, { role: ['ADMIN'] }, {}, { role: 'ADMIN', id: 'x' }, { role: null }])(
    'are none like %j',
    async (body) => {
      await app.as(admin).post(`${USERS}/${admin.userId}/roles`).send(body).expect(422);
    },
  );

  it('leave every account a user', async () => {
    const { userId } = await app.register();
    await removeRole(userId, 'USER').expect(422);
    expect((await show(userId)).roles).toEqual(['USER']);
  });

  it('are not taken by administrators from themselves', async () => {
    // Ids have several spellings.
    for (const id of [admin.userId, admin.userId.toUpperCase()]) {
      const { body } = await removeRole(id).expect(409);
      expect(body.code).toBe('own-admin-role');
    }
    expect((await show(admin.userId)).roles).toContain('ADMIN');
  });

  it('leave one administrator of two who take them from each other', async () => {
    for (let round = 0; round < 8; round += 1) {
      const [one, two] = [await registerAdmin(app), await registerAdmin(app)];
      const answers = await Promise.all([
        removeRole(two.userId, 'ADMIN', one),
        round % 2 ? removeRole(one.userId, 'ADMIN', two) : change(one.userId, 'disable', two),
      ]);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      const left = await app.database.query(
        `select 1 from users
         where id in ($1, $2) and 'ADMIN' = any (roles) and disabled_at is null`,
        [one.userId, two.userId],
      );
      expect(left).toHaveLength(1);
    }
  });
});

describe('a disabled account', () => {
  it('is let in nowhere any more, whatever it holds', async () => {
    const account = await app.register();
    const { email } = account;
    await app.http.post('/api/v1/auth/forgot-password').send({ email }).expect(202);
    const [mail] = await finishedMails(app, email, 'reset-password');
    const { body } = await change(account.userId, 'disable').expect(200);
    expect(body).toMatchObject({ disabledAt: expect.any(String), liveSessions: 0 });
    const refresh = { refreshToken: account.refreshToken };
    const reset = { token: tokenIn(mail?.text ?? ''), password: 'another password' };
    const attempts = async () => [
      (await app.as(account).get('/api/v1/images')).status,
      (await app.http.post('/api/v1/auth/refresh').send(refresh)).status,
      (await app.http.post('/api/v1/auth/reset-password').send(reset)).status,
    ];
    expect([(await signIn(account)).status, ...(await attempts())]).toEqual([401, 401, 401, 422]);
    const enabled = await change(account.userId, 'enable').expect(200);
    expect(enabled.body.disabledAt).toBeNull();
    // What there was before is not good again.
    expect(await attempts()).toEqual([401, 401, 422]);
    await signIn(account).expect(200);
  });

  it('is audited once, with the sessions that ended', async () => {
    const { userId } = await app.register();
    for (const what of ['disable', 'disable', 'enable', 'enable']) {
      await change(userId, what).expect(200);
    }
    const by = { actor_kind: 'user', actor_id: admin.userId };
    const [disabled, ...more] = await audited(userId, 'user.%abled');
    expect(disabled).toEqual({
      ...{ ...by, before: { disabledAt: null } },
      after: { disabledAt: expect.any(String) },
    });
    expect(more).toEqual([{ ...by, before: disabled?.after, after: { disabledAt: null } }]);
    expect(await audited(userId, 'session.ended')).toEqual([
      { ...by, before: null, after: { because: 'account-disabled', sessions: 1 } },
    ]);
  });

  it('keeps its time when it is disabled again', async () => {
    const { userId } = await app.register();
    const first = await change(userId, 'disable').expect(200);
    const again = await change(userId, 'disable').expect(200);
    expect(again.body.disabledAt).toBe(first.body.disabledAt);
  });

  it('has no session left of those that begin while it is disabled', async () => {
    for (let round = 0; round < 5; round += 1) {
      const account = await app.register();
      await Promise.all([
        ...Array.from({ length: 6 }, () => signIn(account)),
        change(account.userId, 'disable'),
        app.http.post('/api/v1/auth/refresh').send({ refreshToken: account.refreshToken }),
      ]);
      expect((await show(account.userId)).liveSessions).toBe(0);
    }
  });

  it('is never the own one', async () => {
    for (const id of [admin.userId, admin.userId.toUpperCase()]) {
      const { body } = await change(id, 'disable').expect(409);
      expect(body.code).toBe('own-account');
    }
    await app.as(admin).get(USERS).expect(200);
  });

  it('governs nothing when it was an administrator’s', async () => {
    const other = await registerAdmin(app);
    await change(other.userId, 'disable').expect(200);
    await app.as(other).get(USERS).expect(401);
  });
});

describe('the sessions of an account', () => {
  it('are listed, and ended all at once', async () => {
    const account = await app.register();
    await signIn(account).expect(200);
    const at = `${USERS}/${account.userId}/sessions`;
    const { body } = await app.as(admin).get(at).query({ limit: 1, total: true }).expect(200);
    expect(body).toEqual({
      items: [
        {
          id: expect.any(String),
          device: null,
          address: '127.0.0.1',
          createdAt: expect.any(String),
          lastUsedAt: expect.any(String),
          expiresAt: expect.any(String),
        },
      ],
      nextCursor: expect.any(String),
      total: 2,
    });
    await app.as(admin).delete(at).expect(204);
    await app.as(admin).delete(at).expect(204);
    await app.as(account).get('/api/v1/images').expect(401);
    expect((await app.as(admin).get(at).expect(200)).body.items).toEqual([]);
    expect(await audited(account.userId, 'session.ended')).toEqual([
      {
        ...{ actor_kind: 'user', actor_id: admin.userId, before: null },
        after: { because: 'ended-by-admin', sessions: 2 },
      },
    ]);
    await signIn(account).expect(200);
  });
});
