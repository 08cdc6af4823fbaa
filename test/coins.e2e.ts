import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import { AccountErasure } from '../src/auth/account/account-erasure.js';
import type { Coins } from '../src/coins/coins.service.js';
import { spend } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { registerAdmin } from './administrators.js';
import { eventually } from './eventually.js';
import { tablesWith } from './left-behind.js';
import { coinsOf, outcomes, prove, SOUND, storedBalance } from './ledger.js';
import { type Account, TestingApp } from './testing-app.js';

const ADMIN_TOKEN = 'this-opens-the-routes-of-administrators';

let app: TestingApp;
let coins: Coins;
let admin: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false, variables: { ADMIN_TOKEN } });
  coins = coinsOf(app);
  admin = await registerAdmin(app);
});

afterAll(async () => {
  expect(await prove(app)).toMatchObject(SOUND);
  await app.close();
});

const give = (userId: string, amount: number) =>
  coins.credit({ userId, amount, kind: 'PURCHASE', reference: newId() });
const generation = (userId: string, amount: number) =>
  ({ userId, amount, kind: 'GENERATION', reference: newId() }) as const;
const balance = async (account: Account) =>
  (await app.as(account).get('/api/v1/coins').expect(200)).body;
const transfers = async (account: Account, query: Record<string, string | number> = {}) =>
  (await app.as(account).get('/api/v1/coins/transfers').query(query).expect(200)).body;
const adjust = (userId: string, body: object, as = admin) =>
  app.as(as).post(`/api/v1/admin/users/${userId}/coins`).send(body);
const audited = (userId: string) =>
  app.database.query<Record<string, any>>(
    `select id, actor_kind, actor_id, before, after
     from audit_entries left join audit_details on entry_id = id
     where target_id = $1 and action = 'coins.adjusted' order by created_at, id`,
    [userId],
  );

describe('one’s coins', () => {
  it('are none at first: nobody gives any for signing up', async () => {
    const account = await app.register();
    expect(await balance(account)).toEqual({ posted: 0, held: 0, available: 0 });
    expect(await transfers(account, { total: 'true' })).toEqual({
      ...{ items: [], nextCursor: null, total: 0 },
    });
  });

  it('are told with what moved them, the newest first', async () => {
    const account = await app.register();
    const { userId } = account;
    await give(userId, 100);
    const { holdId } = await coins.hold(generation(userId, 60));
    expect(await balance(account)).toEqual({ posted: 100, held: 60, available: 40 });
    await coins.post(holdId, 40);
    const { items } = await transfers(account);
    const common = {
      id: expect.any(String),
      reference: expect.any(String),
      holdId: null,
      createdAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    };
    expect(items).toEqual([
      { ...common, kind: 'GENERATION', phase: 'POST', amount: 40, change: -40, holdId },
      { ...common, id: holdId, kind: 'GENERATION', phase: 'HOLD', amount: 60, change: 0 },
      { ...common, kind: 'PURCHASE', phase: 'SINGLE', amount: 100, change: 100 },
    ]);
    expect(items[0].reference).toBe(items[1].reference);
  });

  it('come in pages that lose nothing, by kind, with a total', async () => {
    const account = await app.register();
    for (let each = 0; each < 5; each += 1) await give(account.userId, 10 + each);
    await coins.spend(generation(account.userId, 1));
    const amounts = (page: { items: { amount: number }[] }) =>
      page.items.map((each) => each.amount);
    const query = { kind: 'PURCHASE', limit: 2 };
    const first = await transfers(account, { ...query, total: 'true' });
    expect(first.total).toBe(5);
    const second = await transfers(account, { ...query, cursor: first.nextCursor });
    const third = await transfers(account, { ...query, cursor: second.nextCursor });
    expect([first, second, third].flatMap(amounts)).toEqual([14, 13, 12, 11, 10]);
    expect(third.nextCursor).toBeNull();
    expect(amounts(await transfers(account, { limit: 2, offset: 1 }))).toEqual([14, 13]);
  });

  it.each(['limit=101', 'limit=0', 'cursor=x', 'kind=GIFT', 'kind=', 'userId=x', 'offset=-1'])(
    'are not listed by %s',
    async (query) => {
      await app.as(admin).get(`/api/v1/coins/transfers?${query}`).expect(422);
    },
  );

  it('are seen by nobody else', async () => {
    const [account, other] = [await app.register(), await app.register()];
    await give(account.userId, 10);
    expect(await balance(other)).toEqual({ posted: 0, held: 0, available: 0 });
    expect((await transfers(other)).items).toEqual([]);
    for (const path of ['/api/v1/coins', '/api/v1/coins/transfers']) {
      await app.http.get(path).expect(401);
      // The ADMIN_TOKEN has no coins.
      await app.http.get(path).set('authorization', `Bearer ${ADMIN_TOKEN}`).expect(401);
    }
  });

  it('are shown wherever their owner is, a debt as a negative number', async () => {
    const account = await app.register('studio');
    const { email, password, userId } = account;
    await give(userId, 100);
    await coins.hold(generation(userId, 30));
    const shown = async () => {
      const signedIn = await app.http
        .post('/api/v1/auth/login')
        .send({ email, password })
        .expect(200);
      const { refreshToken } = signedIn.body;
      const refreshed = await app.http
        .post('/api/v1/auth/refresh')
        .send({ refreshToken })
        .expect(200);
      const me = await app.as(account).get('/api/v1/me').expect(200);
      const changed = await app.as(account).patch('/api/v1/me').send({}).expect(200);
      const one = await app.as(admin).get(`/api/v1/admin/users/${userId}`).expect(200);
      const list = await app
        .as(admin)
        .get('/api/v1/admin/users')
        .query({ text: email })
        .expect(200);
      return [
        ...[signedIn.body.user, refreshed.body.user, me.body, changed.body, one.body],
        list.body.items[0],
      ].map((user) => user.coins);
    };
    expect(await shown()).toEqual([70, 70, 70, 70, 70, 70]);
    await coins.clawBack({ userId, amount: 100, reference: newId() });
    expect(await shown()).toEqual([-30, -30, -30, -30, -30, -30]);
  });

  it('of all accounts of a list are asked for together', async () => {
    const mark = newId();
    const accounts = [];
    for (let each = 0; each < 3; each += 1) {
      const account = await app.register();
      await app.database.query('update users set last_name = $2 where id = $1', [
        account.userId,
        mark,
      ]);
      if (each > 0) await give(account.userId, each);
      accounts.unshift(account);
    }
    const { body } = await app.as(admin).get('/api/v1/admin/users').query({ text: mark });
    expect(body.items.map(({ coins: many }: { coins: number }) => many)).toEqual([2, 1, 0]);
  });
});

describe('an administrator', () => {
  it('gives coins and deducts them, and the audit remembers why', async () => {
    const account = await app.register();
    const { userId } = account;
    const given = await adjust(userId, { amount: 50, reason: 'a present' }).expect(201);
    expect(given.body).toEqual({
      transferId: expect.any(String),
      balance: { posted: 50, held: 0, available: 50 },
    });
    const taken = await adjust(userId, { amount: -20, reason: ' a mistake ' }).expect(201);
    expect(taken.body.balance).toEqual({ posted: 30, held: 0, available: 30 });
    const by = { id: expect.any(String), actor_kind: 'user', actor_id: admin.userId };
    const entries = await audited(userId);
    expect(entries).toEqual([
      { ...by, before: { available: 0 }, after: { amount: 50, reason: 'a present' } },
      { ...by, before: { available: 50 }, after: { amount: -20, reason: 'a mistake' } },
    ]);
    const { items } = await transfers(account);
    expect(items).toMatchObject([
      { kind: 'ADJUSTMENT', change: -20, reference: entries[1]?.['id'] },
      { kind: 'ADJUSTMENT', change: 50, reference: entries[0]?.['id'], id: given.body.transferId },
    ]);
    expect(JSON.stringify(items)).not.toContain('present');
  });

  it('deducts no more than is available, and what is on hold is not', async () => {
    const { userId } = await app.register();
    const refused = await adjust(userId, { amount: -1, reason: 'x' }).expect(402);
    expect(refused.body).toMatchObject({ code: 'insufficient-coins', need: 1, have: 0 });
    await give(userId, 10);
    await coins.hold(generation(userId, 4));
    const again = await adjust(userId, { amount: -7, reason: 'x' }).expect(402);
    expect(again.body).toMatchObject({ need: 7, have: 6 });
    expect(await audited(userId)).toEqual([]);
    await adjust(userId, { amount: -6, reason: 'x' }).expect(201);
  });

  it('does it once for each Idempotency-Key, however often and at once it is sent', async () => {
    const { userId } = await app.register();
    const key = newId();
    const send = (body: object, id = userId) => adjust(id, body).set('idempotency-key', key);
    const body = { amount: 10, reason: 'once' };
    const first = await send(body).expect(201);
    const again = await send(body).expect(201);
    expect(again.body).toEqual(first.body);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect((await send({ ...body, amount: 11 }).expect(422)).body.code).toBe(
      'idempotency-mismatch',
    );
    const { userId: other } = await app.register();
    expect((await send(body, other).expect(422)).body.code).toBe('idempotency-mismatch');

    const parallel = newId();
    const statuses = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const { status } = await adjust(userId, body).set('idempotency-key', parallel);
        return status;
      }),
    );
    expect(new Set([...statuses, 201, 409])).toEqual(new Set([201, 409]));
    expect(await storedBalance(app, userId)).toMatchObject({ posted: 20 });
    expect(await audited(userId)).toHaveLength(2);
    // A refusal is no answer to keep.
    const refused = newId();
    const deduct = () =>
      adjust(userId, { amount: -30, reason: 'x' }).set('idempotency-key', refused);
    await deduct().expect(402);
    await give(userId, 10);
    await deduct().expect(201);
  });

  it('may be whoever holds the ADMIN_TOKEN', async () => {
    const { userId } = await app.register();
    const send = () =>
      app.http
        .post(`/api/v1/admin/users/${userId}/coins`)
        .set({ 'x-admin-token': ADMIN_TOKEN, 'idempotency-key': userId })
        .send({ amount: 5, reason: 'x' })
        .expect(201);
    expect((await send()).body).toEqual((await send()).body);
    expect(await audited(userId)).toMatchObject([{ actor_kind: 'admin-token', actor_id: null }]);
  });

  it('is nobody else', async () => {
    const account = await app.register();
    const { body } = await adjust(account.userId, { amount: 5, reason: 'x' }, account).expect(403);
    expect(body.code).toBe('forbidden');
    await app.as(account).get('/api/v1/admin/ledger/proof').expect(403);
    await app.http.get('/api/v1/admin/ledger/proof').expect(401);
    await app.http
      .post(`/api/v1/admin/users/${account.userId}/coins`)
      .send({ amount: 5, reason: 'x' })
      .expect(401);
    expect(await storedBalance(app, account.userId)).toMatchObject({ posted: 0 });
  });

  it.each<[string, unknown]>([
    ['amount', { amount: 0, reason: 'x' }],
    ['amount', { amount: 0.5, reason: 'x' }],
    ['amount', { amount: '5', reason: 'x' }],
    ['amount', { amount: 2 ** 53, reason: 'x' }],
    ['amount', { amount: 1e300, reason: 'x' }],
    ['amount', { amount: null, reason: 'x' }],
    ['amount', { amount: [5], reason: 'x' }],
    ['amount', { reason: 'x' }],
    ['reason', { amount: 5 }],
    ['reason', { amount: 5, reason: '  ' }],
    ['reason', { amount: 5, reason: 'x'.repeat(501) }],
    ['reason', { amount: 5, reason: 'a\u0000b' }],
    ['kind', { amount: 5, reason: 'x', kind: 'PURCHASE' }],
  ])('is told what is wrong with the %s of %j', async (field, given) => {
    const { body } = await adjust(admin.userId, given as object).expect(422);
    expect(body).toMatchObject({ code: 'validation-failed', errors: [{ path: `body.${field}` }] });
  });

  it('is told that nobody is there, or that it would be too many', async () => {
    await adjust(newId(), { amount: 5, reason: 'x' }).expect(404);
    await adjust('1', { amount: 5, reason: 'x' }).expect(422);
    const { userId } = await app.register();
    const most = { amount: Number.MAX_SAFE_INTEGER, reason: 'x' };
    await adjust(userId, most).expect(201);
    const { body } = await adjust(userId, most).expect(409);
    expect(body.code).toBe('too-many-coins');
    await adjust(userId, { ...most, amount: -most.amount }).expect(201);
    await adjust(userId.toUpperCase(), { amount: 5, reason: 'x' }).expect(201);
  });

  it('proves the ledger', async () => {
    const { body } = await app.as(admin).get('/api/v1/admin/ledger/proof').expect(200);
    expect(body).toEqual({ ...SOUND, ...(await prove(app)) });
    expect(body.transfers).toBeGreaterThan(10);
  });

  it('and others who give somebody the first coins wait for each other', async () => {
    for (let each = 0; each < 10; each += 1) {
      const { userId } = await app.register();
      const attempts = [
        adjust(userId, { amount: 5, reason: 'x' }).expect(201),
        ...Array.from({ length: 4 }, () => give(userId, 1)),
        adjust(userId, { amount: 5, reason: 'x' }).expect(201),
        coins.clawBack({ userId, amount: 3, reference: newId() }),
      ];
      expect(await outcomes(attempts)).toEqual({ done: 7 });
      expect(await storedBalance(app, userId)).toMatchObject({ available: 11 });
    }
  });

  it('and a user who spends meanwhile wait for each other, and lose nothing', async () => {
    const { userId } = await app.register();
    await give(userId, 100);
    const attempts = Array.from({ length: 60 }, (_, number) =>
      number % 2 === 0
        ? adjust(userId, { amount: -5, reason: 'x' }).then(({ status }) => {
            if (status !== 201) throw Object.assign(new Error(), { code: 'insufficient-coins' });
          })
        : coins.spend(generation(userId, 5)),
    );
    expect(await outcomes(attempts)).toEqual({ done: 20, 'insufficient-coins': 40 });
    expect(await storedBalance(app, userId)).toMatchObject({ available: 0 });
  });
});

describe('the audit of an adjustment', () => {
  it('tells what there was when the coins moved, and not a moment before', async () => {
    const { userId } = await app.register();
    await give(userId, 100);
    let adjusted: Promise<unknown> | undefined;
    await app.app
      .get(EntityManager)
      .fork()
      .transactional(async (em) => {
        await spend(em, generation(userId, 70));
        adjusted = adjust(userId, { amount: -10, reason: 'x' }).expect(201).then();
        await eventually(
          () => app.database.query(`select 1 from pg_locks where not granted`),
          (waiting) => waiting.length > 0,
        );
      });
    await adjusted;
    expect(await audited(userId)).toMatchObject([{ before: { available: 30 } }]);
  });
});

describe('a person', () => {
  it('is told all transfers in their export, the oldest first', async () => {
    const account = await app.register();
    const { userId } = account;
    await give(userId, 100);
    // More than one page of an export.
    for (let each = 0; each < 20; each += 1) {
      await Promise.all(
        Array.from({ length: 15 }, () => coins.hold(generation(userId, 1)).catch(() => 0)),
      );
    }
    const { body } = await app.as(account).get('/api/v1/me/export').expect(200);
    const [{ total }, made] = [await transfers(account, { total: 'true' }), body.coinTransfers];
    expect(total).toBe(101);
    expect(made).toHaveLength(101);
    expect(new Set(made.map(({ id }: { id: string }) => id)).size).toBe(101);
    expect(made[0]).toMatchObject({ kind: 'PURCHASE', change: 100 });
    expect(body.account.coins).toBe(0);
  });

  it('who is erased leaves in the ledger what accounting needs, and nothing of themselves', async () => {
    const account = await app.register();
    const { userId } = account;
    const reason = `because of ${newId()}`;
    await adjust(userId, { amount: 50, reason }).set('idempotency-key', newId()).expect(201);
    const { holdId } = await coins.hold(generation(userId, 30));
    expect(await tablesWith(app, reason)).toEqual(['audit_details']);
    const before = await storedBalance(app, userId);
    await app.as(account).delete('/api/v1/me').send({ password: account.password }).expect(204);
    expect(await tablesWith(app, reason)).toEqual([]);
    expect(await tablesWith(app, userId)).toEqual(['audit_entries', 'coin_accounts', 'users']);
    expect(await storedBalance(app, userId)).toEqual(before);
    // What was being made ends as ever.
    expect(await coins.void(holdId)).toBe(true);
    await app.app.get(AccountErasure, { strict: false }).repeat();
    expect(await storedBalance(app, userId)).toMatchObject({ posted: 50, held: 0 });
    await adjust(userId, { amount: 5, reason: 'x' }).expect(404);
  });
});
