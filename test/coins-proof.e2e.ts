import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Coins } from '../src/coins/coins.service.js';
import { newId } from '../src/core/ids.js';
import { coinsOf, prove, somebody, somebodyWith, SOUND } from './ledger.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;
let coins: Coins;
let userId: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  coins = coinsOf(app);
});

beforeEach(async () => {
  userId = await somebodyWith(app, 100);
  expect(await prove(app)).toMatchObject(SOUND);
});

afterAll(() => app.close());

const generation = (amount: number) =>
  ({ userId, amount, kind: 'GENERATION', reference: newId() }) as const;

/** Does to the tables what only their owner can, and undoes it when the proof has seen it. */
async function proveTampered(change: string, undo: string, values: unknown[]) {
  await app.database.query(change, values);
  try {
    return await prove(app);
  } finally {
    await app.database.query(undo, values);
  }
}

describe('the proof of the ledger', () => {
  it('counts what there is, and tells the balances of the system', async () => {
    const before = await prove(app);
    const { holdId } = await coins.hold(generation(60));
    await coins.post(holdId, 40);
    await coins.hold(generation(10));
    const other = await somebodyWith(app, 5);
    const after = await prove(app);
    expect(after).toEqual({
      ...SOUND,
      accounts: before.accounts + 1,
      transfers: before.transfers + 4,
      balances: {
        issued: before.balances.issued - 5,
        revenue: before.balances.revenue + 40,
        promotions: before.balances.promotions,
      },
    });
    expect(await coins.balance(other)).toMatchObject({ available: 5 });
  });

  it('finds a transfer that was changed', async () => {
    const { transferId } = await coins.spend(generation(30));
    const found = await proveTampered(
      'update coin_transfers set amount = amount + 1 where id = $1',
      'update coin_transfers set amount = amount - 1 where id = $1',
      [transferId],
    );
    expect(found).toMatchObject({ differenceCount: 1, sum: 1 });
    expect(found.differences).toEqual([
      {
        accountId: expect.any(String),
        userId,
        stored: { posted: 70, held: 0 },
        computed: { posted: 69, held: 0 },
        misfits: 0,
      },
    ]);
  });

  it('finds a transfer that was deleted, and all of them', async () => {
    const [made] = await app.database.query<{ account_id: string }>(
      `select account_id from coin_transfers
       where account_id = (select id from coin_accounts where user_id = $1)`,
      [userId],
    );
    await app.database.query(
      'create table kept as select * from coin_transfers where account_id = $1',
      [made?.account_id],
    );
    const found = await proveTampered(
      'delete from coin_transfers where account_id = $1',
      'insert into coin_transfers select * from kept where account_id = $1',
      [made?.account_id],
    );
    expect(found).toMatchObject({ differenceCount: 1, sum: 100 });
    expect(found.differences).toMatchObject([{ userId, computed: { posted: 0, held: 0 } }]);
    await app.database.query('drop table kept');
  });

  it('finds a balance that was changed without a transfer', async () => {
    const found = await proveTampered(
      'update coin_accounts set posted = posted + 1000 where user_id = $1',
      'update coin_accounts set posted = posted - 1000 where user_id = $1',
      [userId],
    );
    expect(found).toMatchObject({ differenceCount: 1, sum: 1000 });
    const held = await proveTampered(
      'update coin_accounts set held = held + 7 where user_id = $1',
      'update coin_accounts set held = held - 7 where user_id = $1',
      [userId],
    );
    expect(held.differences).toMatchObject([{ stored: { held: 7 }, computed: { held: 0 } }]);
    expect(held.sum).toBe(0);
  });

  it('finds endings that do not fit their hold, although all balances are right', async () => {
    const { holdId } = await coins.hold(generation(60));
    await coins.post(holdId, 40);
    const found = await proveTampered(
      'update coin_transfers set amount = 39 where id = $1',
      'update coin_transfers set amount = 60 where id = $1',
      [holdId],
    );
    expect(found).toMatchObject({ differenceCount: 1, sum: 0 });
    expect(found.differences).toMatchObject([
      { stored: { posted: 60, held: 0 }, computed: { posted: 60, held: 0 }, misfits: 1 },
    ]);
    const other = await coins.hold(generation(10));
    await coins.void(other.holdId);
    const voided = await proveTampered(
      'update coin_transfers set amount = 9 where hold_id = $1',
      'update coin_transfers set amount = 10 where hold_id = $1',
      [other.holdId],
    );
    expect(voided.differences).toMatchObject([{ misfits: 1 }]);
  });

  it('tells a hundred of many differences, and how many there are', async () => {
    const users = await Promise.all(Array.from({ length: 120 }, () => somebodyWith(app, 1)));
    const found = await proveTampered(
      'update coin_accounts set posted = 2 where user_id = any ($1)',
      'update coin_accounts set posted = 1 where user_id = any ($1)',
      [users],
    );
    expect(found).toMatchObject({ differenceCount: 120, sum: 120 });
    expect(found.differences).toHaveLength(100);
  });

  it('sees one moment, however much is spent meanwhile', async () => {
    const stop = new AbortController();
    const spending = (async () => {
      while (!stop.signal.aborted) {
        await coins.spend(generation(1));
        await coins.credit({ userId, amount: 1, kind: 'REWARD', reference: newId() });
        const { holdId } = await coins.hold(generation(2));
        await coins.post(holdId, 1);
        await coins.credit({ userId, amount: 1, kind: 'REWARD', reference: newId() });
      }
    })();
    const seen = new Set<number>();
    for (let each = 0; each < 30; each += 1) {
      const { transfers, ...found } = await prove(app);
      expect(found).toMatchObject(SOUND);
      seen.add(transfers);
    }
    stop.abort();
    await spending;
    expect(seen.size).toBeGreaterThan(1);
  });

  it('knows all that was before it was asked for, however many ask at once', async () => {
    const before = await prove(app);
    const [early] = await Promise.all([
      prove(app),
      (async () => {
        await coins.credit({ userId, amount: 1, kind: 'REWARD', reference: newId() });
        const late = await Promise.all(Array.from({ length: 20 }, () => prove(app)));
        for (const found of late) {
          expect(found).toMatchObject({ ...SOUND, transfers: before.transfers + 1 });
        }
      })(),
    ]);
    expect(early).toMatchObject(SOUND);
  });

  it('goes on from page to page, within an account and beyond', async () => {
    const users = await Promise.all([somebody(app), somebody(app), somebody(app), somebody(app)]);
    const before = await prove(app);
    // More of one account than a page has, in the same millisecond, and more accounts than a page has.
    const counts = [45_000, 1, 19_999, 20_000];
    for (const [index, count] of counts.entries()) {
      await coins.credit({ userId: users[index]!, amount: 1, kind: 'REWARD', reference: newId() });
      await app.database.query(
        `with made as (
           insert into coin_transfers
           select uuidv7(), account_id, debit_account_id, credit_account_id, number % 3 + 1, kind,
                  phase, 'of ' || account_id || ' ' || number, null, created_at
           from coin_transfers, generate_series(1, $2::int) as number
           where account_id = (select id from coin_accounts where user_id = $1::uuid)
           returning amount
         )
         update coin_accounts set posted = posted + (select sum(amount) from made)
         where user_id = $1::uuid`,
        [users[index], count],
      );
    }
    await app.database.query(
      `insert into users (id, email, created_at, updated_at)
       select id, id || '@example.com', now(), now()
       from (select uuidv7() as id from generate_series(1, 5000)) as new`,
    );
    await app.database.query(
      `insert into coin_accounts (id, kind, user_id, created_at)
       select gen_random_uuid(), 'USER', id, now() from users
       where not exists (select from coin_accounts where user_id = users.id)`,
    );
    const after = await prove(app);
    expect(after).toMatchObject(SOUND);
    expect(after.transfers - before.transfers).toBe(
      4 + counts.reduce((sum, each) => sum + each, 0),
    );
    expect(after.accounts - before.accounts).toBeGreaterThan(5_000);
  }, 60_000);
});
