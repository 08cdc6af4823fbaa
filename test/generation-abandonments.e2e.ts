import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { balanceOf, generate, withCoins } from './generation-requests.js';
import { type Account, TestingApp } from './testing-app.js';

const MOST_PER_HOUR = 20;

let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false, variables: { RATE_LIMITS: 'on' } });
  ana = await withCoins(app, 100_000);
});

afterAll(() => app.close());

/** @param isAsked whether a worker begins with it, and dies thereby */
async function begin(isAsked: boolean) {
  const { body } = await generate(app, ana).expect(202);
  if (isAsked) {
    await app.database.query('update generations set attempts = 1 where id = $1', [
      body.generation.id,
    ]);
  }
  return { id: body.generation.id as string, imageId: body.image.id as string };
}

async function cancel(isAsked: boolean, times: number): Promise<void> {
  for (let each = 0; each < times; each += 1) {
    const { id } = await begin(isAsked);
    await app.as(ana).delete(`/api/v1/generations/${id}`).expect(200);
  }
}

/** Has an hour pass for the oldest of those that count. */
const ageOldest = () =>
  app.database.query(
    `update generations set finished_at = finished_at - interval '1 hour' where id = (
       select id from generations
       where user_id = $1 and attempts > 0 and finished_at > now() - interval '1 hour'
       order by finished_at limit 1
     )`,
    [ana.userId],
  );

describe('who gives up what a model is asked for, again and again,', () => {
  it('may ask for no more until the oldest is an hour old', async () => {
    // What no model has been asked for cost nobody anything.
    await cancel(false, MOST_PER_HOUR + 1);
    const last = await begin(true);
    const underWay = await begin(true);
    const keyOfTaken = newId();
    const { body: taken } = await generate(app, ana, {}, { key: keyOfTaken }).expect(202);
    await cancel(true, MOST_PER_HOUR - 1);
    await app.as(ana).delete(`/api/v1/images/${last.imageId}`).expect(204);

    const before = await balanceOf(app, ana);
    const key = newId();
    const refused = await generate(app, ana, {}, { key }).expect(429);
    expect(refused.body.code).toBe('too-many-cancelled');
    const seconds = Number(refused.headers['retry-after']);
    expect(seconds).toBeGreaterThan(3_000);
    expect(seconds).toBeLessThanOrEqual(3_600);
    expect(await balanceOf(app, ana)).toEqual(before);

    const again = await generate(app, ana, {}, { key: keyOfTaken }).expect(202);
    expect(again.body).toEqual(taken);
    await app.as(ana).delete(`/api/v1/generations/${underWay.id}`).expect(200);
    await generate(app, await withCoins(app, 100)).expect(202);

    // One more was cancelled since, so it takes two.
    await ageOldest();
    await generate(app, ana, {}, { key }).expect(429);
    await ageOldest();
    await generate(app, ana, {}, { key }).expect(202);
  });
});
