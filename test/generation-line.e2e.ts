import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { finalGeneration, generate, withCoins } from './generation-requests.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false, variables: { GENERATION_CONCURRENCY: '1' } });
});

afterAll(() => app.close());

const show = async (as: Awaited<ReturnType<typeof withCoins>>, id: string) =>
  (await app.as(as).get(`/api/v1/generations/${id}`).expect(200)).body;

describe('the line', () => {
  it('lets two of an owner at a time through, and nobody wait for all of another’s', async () => {
    const [many, one] = await Promise.all([withCoins(app, 30_000), withCoins(app, 100)]);
    const asked = await Promise.all(Array.from({ length: 200 }, () => generate(app, many)));
    const theirs = asked.map(({ body }) => body.generation.id as string);
    const { body } = await generate(app, one).expect(202);
    const busy = await app.database.query(
      'select 1 from generations where user_id = $1 and queued_at is not null',
      [many.userId],
    );
    expect(busy).toHaveLength(2);
    expect((await show(one, body.generation.id)).position).toBeLessThanOrEqual(3);

    await app.startWorker();
    const final = await finalGeneration(app, one, body.generation.id);
    expect(final.status).toBe('COMPLETED');
    const done = await app.database.query<{ id: string }>(
      `select id from generations where user_id = $1 and finished_at < $2`,
      [many.userId, final.finishedAt],
    );
    expect(done.length).toBeLessThanOrEqual(4);

    const positions = await Promise.all(theirs.slice(-3).map((id) => show(many, id)));
    for (const { status, position } of positions) {
      if (status === 'PENDING') expect(position).toBeGreaterThan(1);
    }
    const [last] = theirs.slice(-1);
    await app.as(many).delete(`/api/v1/generations/${last}`).expect(200);
    expect((await show(many, last!)).position).toBeNull();
    await eventually(
      async () =>
        app.database.query(`select 1 from generations where status = 'COMPLETED' limit 5`),
      (rows) => rows.length >= 5,
    );
  }, 60_000);
});
