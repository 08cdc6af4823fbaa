import type { EntityManager } from '@mikro-orm/postgresql';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AccountErasure } from '../src/auth/account/account-erasure.js';
import { postHold } from '../src/coins/holds.js';
import { imageIdsOf } from '../src/generation/generation-endings.js';
import type { Generation } from '../src/generation/generation.entity.js';
import { paintPictures } from '../src/generation/generation.jobs.js';
import { GeneratedImages } from '../src/images/generated/generated-images.js';
import { LeaseLost, WorkLeases } from '../src/queue/work-lease.js';
import { registerAdmin } from './administrators.js';
import { generate, ledgerFaults, NO_FAULTS, withCoins } from './generation-requests.js';
import { storedBalance } from './ledger.js';
import { tablesWith } from './left-behind.js';
import { type Account, TestingApp } from './testing-app.js';

const MANY = 10_000;

let app: TestingApp;
let admin: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  admin = await registerAdmin(app);
});

afterAll(async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
  await app.close();
});

const erase = (account: Account) =>
  app.as(account).delete('/api/v1/me').send({ password: account.password }).expect(204);

async function begin(as: Account): Promise<string> {
  const { body } = await generate(app, as).expect(202);
  return body.generation.id;
}

/** Ends a generation as a worker does, but for the picture. @returns whether it came in time */
async function complete(id: string): Promise<boolean> {
  const leases = app.app.get(WorkLeases, { strict: false });
  const images = app.app.get(GeneratedImages, { strict: false });
  const lease = await leases.take(paintPictures, id);
  if (!lease) return false;
  try {
    await leases.complete(lease, async (row: Generation, em: EntityManager) => {
      await images.fail(em, await imageIdsOf(em, id), { code: 'none', detail: '' });
      await postHold(em, row.holdId, row.complete(1, 1));
    });
    return true;
  } catch (error) {
    if (error instanceof LeaseLost) return false;
    throw error;
  }
}

/** Has an owner wait for many more of one that waits, without asking for each. */
async function multiply(id: string, times: number): Promise<void> {
  const copyOf = (table: string, which: string, changes: string) =>
    `insert into ${table}
     select made.* from copies, ${table} as origin, jsonb_populate_record(
       null::${table}, to_jsonb(origin) || jsonb_build_object(${changes})
     ) as made where ${which}`;
  for (const statement of [
    `create table copies as select gen_random_uuid() as id, gen_random_uuid() as hold_id,
       gen_random_uuid() as image_id from generate_series(1, ${times})`,
    copyOf(
      'coin_transfers',
      `origin.reference = '${id}'`,
      `'id', copies.hold_id, 'reference', copies.id`,
    ),
    `update coin_accounts set held = held + ${times} * 100
     where id = (select account_id from coin_transfers where reference = '${id}')`,
    copyOf(
      'generations',
      `origin.id = '${id}'`,
      `'id', copies.id, 'hold_id', copies.hold_id, 'queued_at', null`,
    ),
    copyOf(
      'images',
      `origin.id = (select image_id from generation_images where generation_id = '${id}')`,
      `'id', copies.image_id`,
    ),
    `insert into generation_images (generation_id, position, image_id)
     select id, 0, image_id from copies`,
    'drop table copies',
  ]) {
    await app.database.query(statement);
  }
}

/** What there is to tell of today. */
async function costs() {
  const { body } = await app.as(admin).get('/api/v1/admin/generations/costs').expect(200);
  const items = body.items as {
    generations: number;
    failed: number;
    pictures: number;
    coinsCharged: number;
  }[];
  expect(items).toHaveLength(1);
  return items[0]!;
}

describe('a person who is erased', () => {
  it('has ten thousand generations that wait, and all of their coins are free', async () => {
    const ana = await withCoins(app, 2_000_000);
    const first = await begin(ana);
    await multiply(first, MANY - 1);
    const rows = await app.database.query<{ id: string }>(
      'select id from generations where user_id = $1 order by id desc limit 30',
      [ana.userId],
    );
    expect(await storedBalance(app, ana.userId)).toMatchObject({ held: MANY * 100 });

    const [outcomes] = await Promise.all([
      Promise.all(rows.map(({ id }) => complete(id))),
      erase(ana),
    ]);
    const paid = outcomes.filter((isPaid) => isPaid).length * 100;
    expect(await storedBalance(app, ana.userId)).toMatchObject({
      posted: 2_000_000 - paid,
      held: 0,
    });
    const endings = await app.database.query(
      `select phase, count(*)::int as count from coin_transfers
       where kind = 'GENERATION' and hold_id is not null group by phase order by phase`,
    );
    const posts = paid > 0 ? [{ phase: 'POST', count: paid / 100 }] : [];
    expect(endings).toEqual([...posts, { phase: 'VOID', count: MANY - paid / 100 }]);
    const left = await tablesWith(app, ana.userId);
    expect(left.filter((table) => /generation|image/.test(table))).toEqual([]);
  }, 120_000);

  it('leaves what their pictures cost and brought, once, and nothing of themselves', async () => {
    const people = await Promise.all([withCoins(app, 1_000), withCoins(app, 1_000)]);
    await begin(people[0]);
    const before = await costs();
    for (const person of people) {
      const id = await begin(person);
      expect(await complete(id)).toBe(true);
      await app.database.query('update generations set cost_micros = 7 where id = $1', [id]);
      await begin(person);
    }
    const under = await costs();
    expect(under).toMatchObject({
      generations: before.generations + 4,
      failed: before.failed,
      pictures: before.pictures + 2,
      coinsCharged: before.coinsCharged + 200,
      costMicros: 14,
    });
    await Promise.all(people.map(erase));
    expect(await costs()).toEqual({ ...under, failed: under.failed + 3 });
    await app.app.get(AccountErasure, { strict: false }).repeat();
    expect(await costs()).toEqual({ ...under, failed: under.failed + 3 });
    for (const { userId } of people) {
      expect(await tablesWith(app, userId)).not.toContain('erased_generation_costs');
    }
  });
});

describe('the export of a person', () => {
  it('has all of their generations, with their images', async () => {
    const bob = await withCoins(app, 100_000);
    await multiply(await begin(bob), 449);
    const { body } = await app.as(bob).get('/api/v1/me/export').expect(200);
    expect(new Set(body.generations.map(({ id }: { id: string }) => id)).size).toBe(450);
    for (const { imageIds } of body.generations) expect(imageIds).toHaveLength(1);
  });
});
