import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { finalGeneration, generate, withCoins } from './generation-requests.js';
import { type Account, TestingApp } from './testing-app.js';

const PER_USER = 2;
const AT_ONCE = 3;

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { GENERATION_CONCURRENCY: String(AT_ONCE), GENERATION_PER_USER: String(PER_USER) },
  });
});

afterAll(() => app.close());

async function begin(as: Account, asked: object = {}): Promise<string> {
  const { body } = await generate(app, as, asked).expect(202);
  return body.generation.id;
}

/** Whose requests are handed over, or at work. */
async function busy(): Promise<Record<string, number>> {
  const rows = await app.database.query<{ userId: string; count: number }>(
    `select user_id as "userId", count(*)::int as count from generations
     where next_attempt_at is not null and (queued_at is not null or leased_until > now())
     group by user_id`,
  );
  return Object.fromEntries(rows.map(({ userId, count }) => [userId, count]));
}

describe('the line', () => {
  it('lets so many of an owner through, so many of all, and who has none before who has some', async () => {
    const [many, one, late] = await Promise.all([
      withCoins(app, 30_000),
      withCoins(app, 100),
      withCoins(app, 100),
    ]);
    const theirs = await Promise.all(Array.from({ length: 200 }, () => begin(many)));
    expect(await busy()).toEqual({ [many.userId]: PER_USER });
    const first = await begin(one);
    expect(await busy()).toEqual({ [many.userId]: PER_USER, [one.userId]: 1 });
    const next = await begin(late);
    expect(await busy()).toEqual({ [many.userId]: PER_USER, [one.userId]: 1 });

    await app.as(one).delete(`/api/v1/generations/${first}`).expect(200);
    expect(await busy()).toEqual({ [many.userId]: PER_USER, [late.userId]: 1 });

    await app.startWorker();
    const final = await finalGeneration(app, late, next);
    expect(final.status).toBe('COMPLETED');
    const done = await app.database.query<{ id: string }>(
      'select id from generations where user_id = $1 and finished_at < $2',
      [many.userId, final.finishedAt],
    );
    expect(done.length).toBeLessThanOrEqual(2 * PER_USER);
    await Promise.all(theirs.map((id) => app.as(many).delete(`/api/v1/generations/${id}`)));
  }, 60_000);

  it('lets no more through however many workers there are', async () => {
    const second = app.worker;
    await app.startWorker();
    const owners = await Promise.all(Array.from({ length: 6 }, () => withCoins(app, 800)));
    const ids = await Promise.all(
      owners.flatMap((owner) => [begin(owner, { count: 4 }), begin(owner, { count: 4 })]),
    );
    let most = 0;
    for (let left = ids.length; left > 0;) {
      await sleep(20);
      const [now] = await app.database.query<{ held: number; left: number }>(
        `select (count(*) filter (where leased_until > now()))::int as held, count(*)::int as left
         from generations where next_attempt_at is not null`,
      );
      most = Math.max(most, now!.held);
      left = now!.left;
    }
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(AT_ONCE);
    await second?.stop();
  }, 120_000);
});
