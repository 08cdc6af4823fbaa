import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isDeepStrictEqual } from 'node:util';
import { getQueueToken } from '@nestjs/bullmq';
import type { Queue } from 'bullmq';
import { newId } from '../src/core/ids.js';
import { paintPictures } from '../src/generation/generation.jobs.js';
import { eventually } from './eventually.js';
import { generate, withCoins } from './generation-requests.js';
import { type Account, TestingApp } from './testing-app.js';

/** A generation of the model, as the queue sees it. */
interface Row {
  id: string;
  owner: string;
  /** At work, waiting to be tried again, handed over, or waiting its turn. */
  state: 'leased' | 'retried' | 'queued' | 'waiting';
  /** In milliseconds before now: when it became due, or was handed over. */
  ago: number;
}

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

/** Writes a state into the row of a generation, as the dispatcher and the workers do. */
const put = ({ id, state, ago }: Row) =>
  app.database.query(
    `update generations
     set status = case when $2 in ('leased', 'retried') then 'PROCESSING' else 'PENDING' end,
         queued_at = case when $2 = 'queued' then now() - make_interval(secs => $3 / 1000.0) end,
         leased_until = case when $2 = 'leased' then now() + interval '1 hour' end,
         next_attempt_at = now() - make_interval(secs => $3 / 1000.0)
     where id = $1`,
    [id, state, ago],
  );

/** The ids of those that have not begun, by position: the rule, step by step. */
function order(rows: Row[]): string[] {
  const queued = rows.filter(({ state }) => state === 'queued').sort((a, b) => b.ago - a.ago);
  const line = queued.map(({ id }) => id);
  const waiting = rows
    .filter(({ state }) => state === 'waiting' || state === 'retried')
    .sort((a, b) => b.ago - a.ago);
  const taken = new Map<string, number>();
  for (const { owner, state } of rows) {
    if (state === 'queued' || state === 'leased') taken.set(owner, (taken.get(owner) ?? 0) + 1);
  }
  while (waiting.length > 0) {
    const least = Math.min(...waiting.map(({ owner }) => taken.get(owner) ?? 0));
    const index = waiting.findIndex(({ owner }) => (taken.get(owner) ?? 0) === least);
    const [next] = waiting.splice(index, 1);
    taken.set(next!.owner, least + 1);
    if (next!.state === 'waiting') line.push(next!.id);
  }
  return line;
}

/** All that their owners are told of the line: ids by position. */
async function told(owners: Account[]): Promise<string[]> {
  const pages = await Promise.all(
    owners.map((owner) => app.as(owner).get('/api/v1/generations?limit=100').expect(200)),
  );
  const items = pages.flatMap(
    ({ body }) => body.items as { id: string; position: number | null }[],
  );
  const placed = items.filter(({ position }) => position !== null);
  placed.sort((a, b) => a.position! - b.position!);
  // What the lists say may be a second old, each by itself: then a position is told twice.
  return placed.map(({ id, position }, index) => (position === index + 1 ? id : `not ${position}`));
}

/** The same, once all that they are told is of now. */
const toldAtLast = (owners: Account[], rows: Row[]) =>
  eventually(
    () => told(owners),
    (line) => isDeepStrictEqual(line, order(rows)),
  );

describe('the place of one that was handed over', () => {
  it('goes to the next of its owner when its image is deleted, and its carrier is taken out', async () => {
    const owner = await withCoins(app, 1_000);
    const asked: { id: string; imageId: string }[] = [];
    for (let each = 0; each < 3; each += 1) {
      const { body } = await generate(app, owner).expect(202);
      asked.push({ id: body.generation.id, imageId: body.image.id });
    }
    const queue = app.app.get<Queue>(getQueueToken(paintPictures.name), { strict: false });
    const carried = () =>
      Promise.all(
        asked.map(async ({ id }) => (await queue.getJob(`${paintPictures.name}-${id}-0`)) != null),
      );
    expect(await carried()).toEqual([true, true, false]);
    await app.as(owner).delete(`/api/v1/images/${asked[0]!.imageId}`).expect(204);
    expect(await carried()).toEqual([false, true, true]);
    for (const { id } of asked) await app.as(owner).delete(`/api/v1/generations/${id}`).expect(200);
    expect(await carried()).toEqual([false, false, false]);
  });
});

describe('positions in the line', () => {
  it('tell the order in which those that wait will begin, whoever owns them', async () => {
    const owners = await Promise.all(Array.from({ length: 4 }, () => withCoins(app, 10_000)));
    const states: Row['state'][][] = [
      ['leased', 'leased', ...Array<Row['state']>(9).fill('waiting')],
      ['queued', 'leased', ...Array<Row['state']>(5).fill('waiting')],
      ['queued', 'retried', 'waiting', 'waiting'],
      ['waiting'],
    ];
    const rows: Row[] = [];
    for (const [index, owner] of owners.entries()) {
      for (const state of states[index]!) {
        const { body } = await generate(app, owner).expect(202);
        // Whoever came first is not who is told of first.
        const ago = 60_000 - ((rows.length * 7_919) % 10_007);
        rows.push({ id: body.generation.id, owner: owner.userId, state, ago });
      }
    }
    await Promise.all(rows.map(put));
    expect(await toldAtLast(owners, rows)).toEqual(order(rows));

    // The first has two at work, so nothing of theirs is handed over.
    const [first] = owners;
    const key = newId();
    const { body } = await generate(app, first!, {}, { key }).expect(202);
    const { id, position } = body.generation;
    rows.push({ id, owner: first!.userId, state: 'waiting', ago: 0 });
    expect(await toldAtLast(owners, rows)).toEqual(order(rows));
    expect(position).toBe(order(rows).indexOf(id) + 1);

    await app.as(first!).delete(`/api/v1/generations/${id}`).expect(200);
    const { body: again } = await generate(app, first!, {}, { key }).expect(202);
    expect(again).toEqual(body);
  });

  it('know what was asked for a moment ago, also when many ask at once', async () => {
    const owners = await Promise.all(Array.from({ length: 5 }, () => withCoins(app, 1_000)));
    await Promise.all(
      owners.map(async (owner) => {
        for (let each = 0; each < 10; each += 1) {
          const { body } = await generate(app, owner).expect(202);
          const { id } = body.generation;
          const shown = await app.as(owner).get(`/api/v1/generations/${id}`).expect(200);
          expect(shown.body.position).toBeGreaterThanOrEqual(1);
        }
      }),
    );
  });
});
