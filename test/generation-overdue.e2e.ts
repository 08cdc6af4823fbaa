import { EntityManager } from '@mikro-orm/postgresql';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { newId } from '../src/core/ids.js';
import { GenerationEndings } from '../src/generation/generation-endings.js';
import { OverdueGenerations } from '../src/generation/overdue-generations.js';
import { eventually } from './eventually.js';
import { generate, ledgerFaults, NO_FAULTS, withCoins } from './generation-requests.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let ana: Account;
let bob: Account;

beforeAll(async () => {
  // What the worker does every few seconds is done here when it is asked for.
  app = await TestingApp.start({ worker: false });
  [ana, bob] = await Promise.all([withCoins(app, 100_000), withCoins(app, 100_000)]);
});

afterAll(async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
  await app.close();
});

/** The sweep as each replica has it. */
function replica(): OverdueGenerations {
  const endings = app.app.get(GenerationEndings, { strict: false });
  return new OverdueGenerations(app.app.get(EntityManager).fork(), endings);
}

const end = (signal = new AbortController().signal) => replica().end(signal);

/** One whose worker has died, and that has had its time. */
async function overdue(as: Account): Promise<string> {
  const { body } = await generate(app, as).expect(202);
  await app.database.query(
    `update generations set status = 'PROCESSING', attempts = 1, lease_id = $2, queued_at = null,
            leased_until = now() - interval '1 second', deadline_at = now() - interval '1 second'
     where id = $1`,
    [body.generation.id, newId()],
  );
  return body.generation.id;
}

async function statusOf(id: string): Promise<string | undefined> {
  const [row] = await app.database.query<{ status: string }>(
    'select status from generations where id = $1',
    [id],
  );
  return row?.status;
}

it('ends each by itself: no account stays locked while that of somebody else is waited for', async () => {
  const [first, second] = [await overdue(ana), await overdue(bob)];
  const client = new pg.Client({ connectionString: app.database.ownerUrl });
  await client.connect();
  try {
    const lock = (of: Account) =>
      client.query('select 1 from coin_accounts where user_id = $1 for update', [of.userId]);
    await client.query('begin');
    await lock(bob);
    const ended = end();
    await eventually(
      () =>
        app.database.query(
          `select 1 from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'`,
        ),
      (rows) => rows.length > 0,
    );
    // Another replica that has begun with Bob's goes on with Ana's.
    await lock(ana);
    expect(await statusOf(first)).toBe('FAILED');
    await client.query('commit');
    expect(await ended).toBe(2);
    expect(await statusOf(second)).toBe('FAILED');
  } finally {
    await client.end();
  }
});

it('passes over one that cannot be ended, and comes back to it', async () => {
  const stuck = await overdue(ana);
  const others = [await overdue(ana), await overdue(bob)];
  const [row] = await app.database.query<{ hold_id: string }>(
    'select hold_id from generations where id = $1',
    [stuck],
  );
  const setHold = (holdId: string | undefined) =>
    app.database.query('update generations set hold_id = $2 where id = $1', [stuck, holdId]);
  await setHold(newId());
  expect(await end()).toBe(2);
  expect(await Promise.all(others.map(statusOf))).toEqual(['FAILED', 'FAILED']);
  expect(await statusOf(stuck)).toBe('PROCESSING');
  await setHold(row?.hold_id);
  expect(await end()).toBe(1);
});

it('ends each once, however many replicas look and however many there are', async () => {
  const ids: string[] = [];
  for (let number = 0; number < 210; number += 1) ids.push(await overdue(number % 2 ? ana : bob));
  const ended = await Promise.all([end(), end(), end()]);
  expect(ended.reduce((sum, count) => sum + count)).toBe(ids.length);
  const endings = await app.database.query(
    `select phase, count(*)::int as count from coin_transfers
     where reference = any ($1) and hold_id is not null group by phase`,
    [ids],
  );
  expect(endings).toEqual([{ phase: 'EXPIRE', count: ids.length }]);
}, 60_000);

it('leaves the rest to others when its process stops', async () => {
  const id = await overdue(ana);
  await expect(end(AbortSignal.abort(new Error('stopping')))).rejects.toThrow('stopping');
  expect(await statusOf(id)).toBe('PROCESSING');
  expect(await end()).toBe(1);
});
