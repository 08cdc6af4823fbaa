import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { type GeminiRequest, GeminiServer, pictureOf } from './gemini-server.js';
import {
  balanceOf,
  finalGeneration,
  generate,
  ledgerFaults,
  NO_FAULTS,
  promptOf,
  withCoins,
} from './generation-requests.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

const CONCURRENCY = 4;
/** It must not be less. */
const RATE = CONCURRENCY;
/** How long the first window is, so that nobody has to wait for a minute. */
const WINDOW_SECONDS = 8;
/** What would be asked although it must not would be asked within this time, in milliseconds. */
const TOO_MUCH_WITHIN_MS = 500;

let gemini: GeminiServer;
let app: TestingApp;
/** When the model was asked, in milliseconds of the epoch. */
const askedAt: number[] = [];

beforeAll(async () => {
  gemini = await GeminiServer.start();
  app = await TestingApp.start({
    worker: false,
    variables: {
      ...{ ...gemini.variables, GENERATION_CONCURRENCY: String(CONCURRENCY) },
      GENERATION_DEADLINE: '240',
    },
  });
});

afterAll(async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
  await app.close();
  await gemini.close();
});

afterEach(() => {
  gemini.requests.length = 0;
  askedAt.length = 0;
});

/** Has the model wait with its answers to some prompts. @returns lets it answer, from then on at once */
function holdAnswers(isHeld: (prompt: string) => boolean = () => true): () => void {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  gemini.otherwise = async (request: GeminiRequest) => {
    askedAt.push(Date.now());
    if (isHeld(promptOf(request))) await promise;
    return { parts: [pictureOf(gemini.picture)] };
  };
  return () => {
    resolve(undefined);
  };
}

async function begin(as: Account, asked: object = {}): Promise<string> {
  const { body } = await generate(app, as, asked).expect(202);
  return body.generation.id;
}

/** Waits until workers have begun with all of these. */
const begun = (ids: string[]) =>
  eventually(
    () =>
      app.database.query(`select 1 from generations where id = any($1) and status = 'PROCESSING'`, [
        ids,
      ]),
    (rows) => rows.length === ids.length,
  );

/** Begins a window of the rate that ends soon, as if it had begun long ago. @returns when it ends */
async function beginWindow(): Promise<number> {
  const [window] = await app.database.query<{ ends: Date }>(
    `insert into counters (key, count, resets_at)
     values ('model-calls:gemini-nano-banana-2.1', 0, now() + make_interval(secs => $1))
     returning resets_at as ends`,
    [WINDOW_SECONDS],
  );
  return window!.ends.getTime();
}

const completedOf = async (ids: string[]) =>
  (
    await app.database.query<{ id: string }>(
      `select id from generations where id = any($1) and status = 'COMPLETED'`,
      [ids],
    )
  ).map(({ id }) => id);

it('two workers together ask the model as often in a minute as they may, and what waits comes later', async () => {
  const letAnswer = holdAnswers();
  const owners = await Promise.all(Array.from({ length: 2 * RATE + 1 }, () => withCoins(app, 100)));
  const variables = { ...app.variables, GENERATION_RATE_PER_MINUTE: String(RATE) };
  const workers = await Promise.all([
    ProductProcess.start('worker', variables),
    ProductProcess.start('worker', variables),
  ]);
  try {
    const endsAt = await beginWindow();
    const ids = await Promise.all(owners.map((owner) => begin(owner)));
    await gemini.asked(RATE);
    letAnswer();
    await gemini.asked(2 * RATE);
    expect(askedAt[RATE]).toBeGreaterThanOrEqual(endsAt);
    const completed = await eventually(
      () => completedOf(ids),
      ({ length }) => length === 2 * RATE,
    );
    expect(completed).toHaveLength(2 * RATE);

    // The second window is a minute, and has no place for the last one. Nobody has to wait for it.
    await sleep(TOO_MUCH_WITHIN_MS);
    const last = ids.findIndex((id) => !completed.includes(id));
    const owner = owners[last]!;
    const { body } = await app.as(owner).delete(`/api/v1/generations/${ids[last]}`).expect(200);
    expect(body).toMatchObject({ status: 'FAILED', error: { code: 'cancelled' } });
    expect(await balanceOf(app, owner)).toEqual({ posted: 100, held: 0, available: 100 });
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
  }
  expect(gemini.requests).toHaveLength(2 * RATE);
}, 60_000);

it('somebody’s many requests for four pictures each keep nobody else from their first', async () => {
  const [many, one] = await Promise.all([withCoins(app, 10_000), withCoins(app, 400)]);
  const letAnswer = holdAnswers((prompt) => prompt.startsWith('Theirs'));
  await app.startWorker();
  const theirs: string[] = [];
  for (let number = 0; number < 10; number += 1) {
    theirs.push(await begin(many, { prompt: `Theirs, number ${number}`, count: 4 }));
  }
  await gemini.asked(CONCURRENCY);
  const own = await begin(one, { prompt: 'My own', count: 4 });
  expect(await begun([own])).toHaveLength(1);
  letAnswer();
  expect(await finalGeneration(app, one, own)).toMatchObject({
    status: 'COMPLETED',
    coins: { charged: 400 },
  });
  // No more of theirs came before than may be at work at once.
  const prompts = gemini.requests.map(promptOf);
  const before = prompts.slice(0, prompts.indexOf('My own'));
  expect(new Set(before).size).toBeLessThanOrEqual(2);
  for (const id of theirs) await app.as(many).delete(`/api/v1/generations/${id}`);
}, 60_000);
