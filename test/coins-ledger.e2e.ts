import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import pg from 'pg';
import { SYSTEM_ACCOUNTS } from '../src/coins/coin-account.entity.js';
import { ReferenceTaken } from '../src/coins/coins.problems.js';
import type { Coins } from '../src/coins/coins.service.js';
import { postHold, voidHold } from '../src/coins/holds.js';
import { credit, hold, spend } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import {
  coinsOf,
  outcomes,
  prove,
  somebody,
  somebodyWith,
  SOUND,
  storedBalance,
} from './ledger.js';
import { TestingApp } from './testing-app.js';

const CONNECTIONS = 64;

let app: TestingApp;
let coins: Coins;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { DATABASE_POOL_SIZE: String(CONNECTIONS), DATABASE_POOL_TIMEOUT_MS: '30000' },
  });
  coins = coinsOf(app);
});

afterAll(async () => {
  // Whatever was done here.
  expect(await prove(app)).toMatchObject(SOUND);
  await app.close();
});

/** Does something in one transaction, as a feature does it with its own rows. */
const transactional = <T>(work: (em: EntityManager) => Promise<T>): Promise<T> =>
  app.app.get(EntityManager).fork().transactional(work);
const spending = (userId: string, amount: number, reference: string = newId()) =>
  ({ userId, amount, kind: 'GENERATION', reference }) as const;
const transfersOf = (userId: string) =>
  app.database.query<{ kind: string; phase: string; amount: string }>(
    `select kind, phase, amount from coin_transfers
     where account_id = (select id from coin_accounts where user_id = $1) order by created_at, id`,
    [userId],
  );

describe('coins', () => {
  it('come, are put on hold, are charged in part, and are free again', async () => {
    const userId = await somebody(app);
    const { balances: before } = await prove(app);
    expect(await coins.balance(userId)).toEqual({ posted: 0, held: 0, available: 0 });
    await coins.credit({ userId, amount: 100, kind: 'PURCHASE', reference: newId() });
    await coins.credit({ userId, amount: 10, kind: 'REWARD', reference: newId() });
    const { holdId } = await coins.hold(spending(userId, 80));
    expect(await coins.balance(userId)).toEqual({ posted: 110, held: 80, available: 30 });
    expect(await coins.canAfford(userId, 30)).toBe(true);
    expect(await coins.canAfford(userId, 31)).toBe(false);
    expect(await coins.post(holdId, 60)).toBe(true);
    expect(await coins.balance(userId)).toEqual({ posted: 50, held: 0, available: 50 });
    const other = await coins.hold(spending(userId, 50));
    expect(await coins.void(other.holdId)).toBe(true);
    const late = await coins.hold(spending(userId, 1));
    expect(await coins.void(late.holdId, 'EXPIRE')).toBe(true);
    await coins.spend(spending(userId, 20));
    await coins.credit({ userId, amount: 5, kind: 'REFUND', reference: newId() });
    expect(await coins.balance(userId)).toEqual({ posted: 35, held: 0, available: 35 });
    expect((await transfersOf(userId)).map(({ phase, amount }) => `${phase} ${amount}`)).toEqual([
      ...['SINGLE 100', 'SINGLE 10', 'HOLD 80', 'POST 60', 'HOLD 50', 'VOID 50'],
      ...['HOLD 1', 'EXPIRE 1', 'SINGLE 20', 'SINGLE 5'],
    ]);
    const { balances: after } = await prove(app);
    expect(after).toEqual({
      issued: before.issued - 100,
      revenue: before.revenue + 60 + 20 - 5,
      promotions: before.promotions - 10,
    });
  });

  it('are not spent beyond what is available, and what is on hold is not', async () => {
    const userId = await somebodyWith(app, 100);
    await coins.hold(spending(userId, 70));
    const refused = { code: 'insufficient-coins', status: 402, need: 31, have: 30 };
    await expect(coins.spend(spending(userId, 31))).rejects.toMatchObject(refused);
    await expect(coins.hold(spending(userId, 31))).rejects.toMatchObject(refused);
    const nobody = await somebody(app);
    await expect(coins.spend(spending(nobody, 1))).rejects.toMatchObject({ need: 1, have: 0 });
    expect(await transfersOf(nobody)).toEqual([]);
    expect(await storedBalance(app, userId)).toEqual({ posted: 100, held: 70, available: 30 });
  });

  it('are clawed back although they are spent, and the debt has to be made good first', async () => {
    const userId = await somebodyWith(app, 100);
    await coins.spend(spending(userId, 90));
    const { holdId } = await coins.hold(spending(userId, 10));
    await coins.clawBack({ userId, amount: 100, reference: newId() });
    expect(await coins.balance(userId)).toEqual({ posted: -90, held: 10, available: -100 });
    await expect(coins.spend(spending(userId, 1))).rejects.toMatchObject({ need: 1, have: -100 });
    // What was on hold before is still there to be charged.
    expect(await coins.post(holdId, 10)).toBe(true);
    await coins.credit({ userId, amount: 100, kind: 'PURCHASE', reference: newId() });
    await expect(coins.hold(spending(userId, 1))).rejects.toMatchObject({ have: 0 });
    await coins.credit({ userId, amount: 1, kind: 'PURCHASE', reference: newId() });
    await coins.spend(spending(userId, 1));
    const newcomer = await somebody(app);
    await coins.clawBack({ userId: newcomer, amount: 7, reference: newId() });
    expect(await coins.balance(newcomer)).toMatchObject({ available: -7 });
  });

  it('move with their effect, or not at all', async () => {
    const userId = await somebodyWith(app, 10);
    const before = await transfersOf(userId);
    const failing = transactional(async (em) => {
      await credit(em, { userId, amount: 5, kind: 'REWARD', reference: newId() });
      const { holdId } = await hold(em, spending(userId, 15));
      await postHold(em, holdId, 15);
      throw new Error('the effect failed');
    });
    await expect(failing).rejects.toThrow('the effect failed');
    expect(await transfersOf(userId)).toEqual(before);
    // A refusal leaves the transaction as it was, for whoever wants to go on.
    await transactional(async (em) => {
      await expect(hold(em, spending(userId, 11))).rejects.toMatchObject({ have: 10 });
      await hold(em, spending(userId, 10));
    });
    expect(await storedBalance(app, userId)).toEqual({ posted: 10, held: 10, available: 0 });
  });

  it('do not move without a transaction', async () => {
    const userId = await somebodyWith(app, 10);
    const em = app.app.get(EntityManager).fork();
    await expect(hold(em, spending(userId, 1))).rejects.toThrow('transaction');
    await expect(voidHold(em, newId(), 'VOID')).rejects.toThrow('transaction');
  });

  it.each([0, -1, 0.5, NaN, Infinity, 2 ** 53, 1e300, '1', '1; drop table users', 1n, null])(
    'do not move by %p',
    async (given: unknown) => {
      const amount = given as number;
      const userId = await somebodyWith(app, 10);
      const { holdId } = await coins.hold(spending(userId, 5));
      for (const refused of [
        () => coins.credit({ userId, amount, kind: 'REWARD', reference: newId() }),
        () => coins.spend(spending(userId, amount)),
        () => coins.hold(spending(userId, amount)),
        () => coins.clawBack({ userId, amount, reference: newId() }),
        () => coins.post(holdId, amount),
        () => coins.canAfford(userId, amount),
      ]) {
        await expect(refused()).rejects.toThrow(RangeError);
      }
      expect(await storedBalance(app, userId)).toEqual({ posted: 10, held: 5, available: 5 });
    },
  );

  it('are at most as many as JSON can tell', async () => {
    const most = Number.MAX_SAFE_INTEGER;
    const userId = await somebodyWith(app, most - 1);
    const one = { userId, amount: 1, kind: 'REWARD' } as const;
    await coins.credit({ ...one, reference: newId() });
    const refused = { code: 'too-many-coins' };
    await expect(coins.credit({ ...one, reference: newId() })).rejects.toMatchObject(refused);
    expect(await coins.balance(userId)).toMatchObject({ available: most });
    await coins.spend(spending(userId, most));
    const back = () => coins.clawBack({ userId, amount: most, reference: newId() });
    await back();
    await expect(back()).rejects.toMatchObject(refused);
    await coins.credit({ userId, amount: most, kind: 'REWARD', reference: newId() });
    // Sums of these are beyond what floating point holds, and the proof is exact.
    expect(await prove(app)).toMatchObject(SOUND);
  });
});

describe('a reference', () => {
  it('makes a repeat harmless, also when the coins are gone by then', async () => {
    const userId = await somebodyWith(app, 30);
    const movements = [
      () => coins.spend(spending(userId, 10, `spend of ${userId}`)),
      () => coins.hold(spending(userId, 10, `hold of ${userId}`)),
      () => coins.credit({ userId, amount: 1, kind: 'REWARD', reference: `to ${userId}` }),
      () => coins.clawBack({ userId, amount: 11, reference: `from ${userId}` }),
    ];
    for (const move of movements) {
      const first = await move();
      expect(await move()).toEqual(first);
    }
    for (const move of movements) await move();
    expect(await storedBalance(app, userId)).toEqual({ posted: 10, held: 10, available: 0 });
  });

  it('has one transfer, however many ask for it at once', async () => {
    const userId = await somebodyWith(app, 1_000);
    const newcomer = await somebody(app);
    for (const move of [
      (reference: string) => coins.spend(spending(userId, 10, reference)),
      (reference: string) => coins.hold(spending(userId, 10, reference)),
      (reference: string) =>
        coins.credit({ userId: newcomer, amount: 10, kind: 'PURCHASE', reference }),
    ]) {
      const reference = newId();
      const answers = await Promise.all(Array.from({ length: 200 }, () => move(reference)));
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    }
    expect(await storedBalance(app, userId)).toEqual({ posted: 990, held: 10, available: 980 });
    expect(await storedBalance(app, newcomer)).toMatchObject({ posted: 10 });
  });

  it('is refused for anything else, and free for another kind', async () => {
    const [userId, other] = [await somebodyWith(app, 100), await somebodyWith(app, 100)];
    const reference = newId();
    await coins.spend(spending(userId, 10, reference));
    for (const wrong of [
      () => coins.spend(spending(userId, 11, reference)),
      () => coins.hold(spending(userId, 10, reference)),
      () => coins.spend(spending(other, 10, reference)),
    ]) {
      await expect(wrong()).rejects.toThrow('belongs to another GENERATION');
    }
    await coins.credit({ userId, amount: 10, kind: 'REFUND', reference });
    const adjusted = newId();
    await coins.credit({ userId, amount: 10, kind: 'ADJUSTMENT', reference: adjusted });
    await expect(
      coins.spend({ userId, amount: 10, kind: 'ADJUSTMENT', reference: adjusted }),
    ).rejects.toThrow('belongs to another ADJUSTMENT');
    expect(await storedBalance(app, other)).toMatchObject({ available: 100 });
  });
});

describe('a reference that several users race for', () => {
  it('is of the first, and the other hears so and can go on', async () => {
    const [userId, other] = [await somebodyWith(app, 100), await somebodyWith(app, 100)];
    for (const move of [
      (em: EntityManager, of: string, reference: string) => hold(em, spending(of, 10, reference)),
      (em: EntityManager, of: string, reference: string) => spend(em, spending(of, 10, reference)),
      (em: EntityManager, of: string, reference: string) =>
        credit(em, { userId: of, amount: 20, kind: 'REWARD', reference }),
    ]) {
      const reference = newId();
      const second = await transactional(async (em) => {
        await move(em, userId, reference);
        // It is not awaited: it waits for this transaction.
        const second = transactional(async (own) => {
          const refusal = await move(own, other, reference).catch((error: unknown) => error);
          await credit(own, { userId: other, amount: 1, kind: 'REWARD', reference: newId() });
          return refusal;
        });
        const waiting = await eventually(
          () =>
            app.database.query(
              `select 1 from pg_stat_activity
               where datname = current_database() and wait_event_type = 'Lock'`,
            ),
          (rows) => rows.length > 0,
        );
        expect(waiting).toHaveLength(1);
        return { answer: second };
      });
      expect(await second.answer).toBeInstanceOf(ReferenceTaken);
    }
    expect(await storedBalance(app, userId)).toEqual({ posted: 110, held: 10, available: 100 });
    expect(await storedBalance(app, other)).toEqual({ posted: 103, held: 0, available: 103 });
  });

  it('is of one of them, however many they are', async () => {
    const users = await Promise.all(Array.from({ length: 30 }, () => somebodyWith(app, 100)));
    for (const move of [
      (userId: string, reference: string) => coins.hold(spending(userId, 10, reference)),
      (userId: string, reference: string) => coins.spend(spending(userId, 10, reference)),
      (userId: string, reference: string) => coins.clawBack({ userId, amount: 10, reference }),
    ]) {
      const reference = newId();
      const settled = await Promise.allSettled(users.map((userId) => move(userId, reference)));
      const refusals = settled.flatMap((each) => (each.status === 'rejected' ? each.reason : []));
      expect(refusals).toHaveLength(users.length - 1);
      for (const refusal of refusals) expect(refusal).toBeInstanceOf(ReferenceTaken);
    }
  });
});

describe('a hold', () => {
  it('ends once', async () => {
    const userId = await somebodyWith(app, 100);
    const { holdId } = await coins.hold(spending(userId, 40));
    await expect(coins.post(holdId, 41)).rejects.toThrow(RangeError);
    expect(await coins.post(holdId, 40)).toBe(true);
    for (const again of [
      () => coins.post(holdId, 1),
      () => coins.void(holdId),
      () => coins.void(holdId, 'EXPIRE'),
    ]) {
      expect(await again()).toBe(false);
    }
    expect(await storedBalance(app, userId)).toEqual({ posted: 60, held: 0, available: 60 });
  });

  it('has to be there, and to be one', async () => {
    await expect(coins.post(newId(), 1)).rejects.toThrow('no hold');
    const userId = await somebodyWith(app, 100);
    const { transferId } = await coins.spend(spending(userId, 1));
    await expect(coins.void(transferId)).rejects.toThrow('no hold');
  });

  it('that is charged and voided at once is one of both, 500 times out of 500', async () => {
    const userId = await somebodyWith(app, 5_000);
    let charged = 0;
    for (let batch = 0; batch < 25; batch += 1) {
      const holds = await Promise.all(
        Array.from({ length: 20 }, () => coins.hold(spending(userId, 10))),
      );
      const races = holds.map(async ({ holdId }, number) => {
        const ends = [() => coins.post(holdId, 7), () => coins.void(holdId)];
        const order = (number + batch) % 2 === 0 ? ends : ends.toReversed();
        const won = await Promise.all(order.map((end) => end()));
        expect(won.filter(Boolean)).toHaveLength(1);
        const phases = await app.database.query<{ phase: string }>(
          'select phase from coin_transfers where hold_id = $1',
          [holdId],
        );
        expect(phases).toHaveLength(1);
        if (phases[0]?.phase === 'POST') charged += 1;
      });
      await Promise.all(races);
    }
    expect(await storedBalance(app, userId)).toMatchObject({
      posted: 5_000 - 7 * charged,
      held: 0,
    });
    // Else it was no race.
    expect(charged).toBeGreaterThan(0);
    expect(charged).toBeLessThan(500);
  });
});

describe('spends at once', () => {
  it('take what is there and no more: 1,000 coins, 1,200 spends of one', async () => {
    const userId = await somebodyWith(app, 1_000);
    const spends = Array.from({ length: 1_200 }, () => coins.spend(spending(userId, 1)));
    expect(await outcomes(spends)).toEqual({ done: 1_000, 'insufficient-coins': 200 });
    expect(await storedBalance(app, userId)).toEqual({ posted: 0, held: 0, available: 0 });
    expect(await prove(app)).toMatchObject(SOUND);
  });

  it('and holds at once take what is there and no more', async () => {
    const userId = await somebodyWith(app, 100);
    const attempts = Array.from({ length: 150 }, (_, number) =>
      number % 2 === 0 ? coins.spend(spending(userId, 1)) : coins.hold(spending(userId, 1)),
    );
    expect(await outcomes(attempts)).toEqual({ done: 100, 'insufficient-coins': 50 });
    expect(await storedBalance(app, userId)).toMatchObject({ available: 0 });
  });
});

describe('the tables of the ledger', () => {
  const insert = async (columns: Record<string, unknown>, userId: string) => {
    const [account] = await app.database.query<{ id: string }>(
      'select id from coin_accounts where user_id = $1',
      [userId],
    );
    const own = account?.id;
    const row = {
      ...{ id: newId(), account_id: own, debit_account_id: own, amount: 1, hold_id: null },
      ...{ credit_account_id: SYSTEM_ACCOUNTS.REVENUE, kind: 'GENERATION', phase: 'SINGLE' },
      ...{ reference: newId(), created_at: new Date(), ...columns },
    };
    const names = Object.keys(row);
    return app.database.query(
      `insert into coin_transfers (${names.join()}) values (${names.map((_, at) => `$${at + 1}`).join()})`,
      Object.values(row),
    );
  };

  it.each<[string, Record<string, unknown>]>([
    ['amount_is_whole_and_positive', { amount: 0 }],
    ['amount_is_whole_and_positive', { amount: -1 }],
    ['amount_is_whole_and_positive', { amount: '9007199254740992' }],
    ['invalid input syntax', { amount: '0.5' }],
    ['invalid input syntax', { amount: 'NaN' }],
    ['endings_have_holds', { phase: 'POST' }],
    ['accounts_are_of_the_kind', { credit_account_id: SYSTEM_ACCOUNTS.ISSUED }],
    ['accounts_are_of_the_kind', { kind: 'REWARD' }],
    ['accounts_are_of_the_kind', { credit_account_id: newId() }],
    ['accounts_are_of_the_kind', { account_id: SYSTEM_ACCOUNTS.REVENUE }],
    ['kind_check', { kind: 'GIFT' }],
    ['phase_check', { phase: 'MAYBE' }],
    ['has_reference', { reference: '' }],
  ])('refuse by %s: %p', async (constraint, columns) => {
    const userId = await somebodyWith(app, 10);
    await expect(insert(columns, userId)).rejects.toThrow(constraint);
  });

  it('refuse a second ending, and a reference again', async () => {
    const userId = await somebodyWith(app, 10);
    const { holdId } = await coins.hold(spending(userId, 1));
    await coins.void(holdId);
    await expect(insert({ phase: 'POST', hold_id: holdId }, userId)).rejects.toThrow(
      'hold_id_unique',
    );
    const reference = newId();
    await coins.spend(spending(userId, 1, reference));
    await expect(insert({ reference }, userId)).rejects.toThrow('reference_unique');
    await expect(insert({ reference, phase: 'HOLD' }, userId)).rejects.toThrow('reference_unique');
  });

  it('refuse accounts that make no sense', async () => {
    const userId = await somebodyWith(app, 10);
    const set = (change: string) =>
      app.database.query(`update coin_accounts set ${change} where user_id = $1`, [userId]);
    await expect(set('held = -1')).rejects.toThrow('coin_accounts_bounds');
    await expect(set('posted = 9007199254740992')).rejects.toThrow('coin_accounts_bounds');
    await expect(set('user_id = null')).rejects.toThrow();
    await expect(set(`kind = 'REVENUE'`)).rejects.toThrow();
    await expect(
      app.database.query(`update coin_accounts set posted = 1 where kind = 'REVENUE'`),
    ).rejects.toThrow('coin_accounts_system_is_computed');
    await expect(app.database.query(`delete from users where id = $1`, [userId])).rejects.toThrow(
      'foreign key',
    );
  });

  it('begin with the accounts of the system', async () => {
    const system = await app.database.query<{ kind: string; id: string }>(
      `select kind, id from coin_accounts where kind <> 'USER'`,
    );
    expect(Object.fromEntries(system.map(({ kind, id }) => [kind, id]))).toEqual(SYSTEM_ACCOUNTS);
  });

  it('let the product add transfers, and neither change nor delete any', async () => {
    const client = new pg.Client({ connectionString: app.database.appUrl });
    await client.connect();
    try {
      for (const statement of [
        'update coin_transfers set amount = 1',
        'delete from coin_transfers',
        'truncate coin_transfers',
        `insert into coin_transfers select * from coin_transfers
           on conflict (id) do update set amount = 1`,
        'alter table coin_transfers drop constraint coin_transfers_pkey cascade',
        'drop table coin_transfers',
      ]) {
        await expect(client.query(statement)).rejects.toThrow(/permission denied|must be owner/);
      }
    } finally {
      await client.end();
    }
  });
});
