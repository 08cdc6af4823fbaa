import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { RowChanges } from '../src/core/database/row-changes.js';
import { paintPictures } from '../src/generation/generation.jobs.js';
import { LeaseLost, WorkLeases } from '../src/queue/work-lease.js';
import { eventually } from './eventually.js';
import { generate, withCoins } from './generation-requests.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false, variables: { GENERATION_CONCURRENCY: '1' } });
});

afterAll(() => app.close());

const erase = (account: Account) =>
  app.as(account).delete('/api/v1/me').send({ password: account.password }).expect(204);

async function begin(as: Account): Promise<string> {
  const { body } = await generate(app, as).expect(202);
  return body.generation.id;
}

const isHandedOver = async (id: string) => {
  const rows = await app.database.query(
    'select 1 from generations where id = $1 and queued_at is not null',
    [id],
  );
  return rows.length > 0;
};

it('the worker that has a generation of somebody who is erased hears of it', async () => {
  const ana = await withCoins(app, 100);
  const id = await begin(ana);
  const leases = app.app.get(WorkLeases, { strict: false });
  const lease = await leases.take(paintPictures, id);
  let heard = 0;
  const changes = app.app.get(RowChanges, { strict: false });
  const unfollow = changes.follow(id, () => (heard += 1));
  try {
    // Until it listens, nothing is heard.
    await eventually(
      async () => {
        await app.database.query(`select pg_notify('row_changes', $1)`, [id]);
        return heard;
      },
      (count) => count > 0,
    );
    const before = heard;
    await erase(ana);
    expect(
      await eventually(
        async () => heard,
        (count) => count > before,
      ),
    ).toBeGreaterThan(before);
    await expect(leases.check(lease!)).rejects.toThrow(LeaseLost);
  } finally {
    unfollow();
  }
});

it('the place of somebody who is erased is for whoever is next, at once', async () => {
  const [ana, bob] = [await withCoins(app, 100), await withCoins(app, 100)];
  expect(await isHandedOver(await begin(ana))).toBe(true);
  const next = await begin(bob);
  expect(await isHandedOver(next)).toBe(false);
  // Nobody sweeps here.
  await erase(ana);
  expect(await isHandedOver(next)).toBe(true);
  await erase(bob);
});
