import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import { readEnv } from '../src/core/env.js';
import { ModelSlots } from '../src/generation/painting/model-slots.js';
import { eventually } from './eventually.js';
import { type GeminiRequest, GeminiServer, pictureOf } from './gemini-server.js';
import {
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
const RATE = 120;
const SPACING_MS = 60_000 / RATE;
const DEADLINE_SECONDS = 5;

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

const completedOf = (ids: string[]) =>
  app.database.query(`select 1 from generations where id = any($1) and status = 'COMPLETED'`, [
    ids,
  ]);

/** Has the next slot of the model come so late, as if many had been given out before. */
const delayNextSlot = (seconds: number) =>
  app.database.query(
    `insert into model_slots (model, next_at)
     values ('gemini-nano-banana-2.1', now() + make_interval(secs => $1))`,
    [seconds],
  );

it('two workers together ask the model as often as they may, and waiting takes nothing of the deadline', async () => {
  holdAnswers()();
  const variables = {
    ...app.variables,
    ...{ GENERATION_RATE_PER_MINUTE: String(RATE), GENERATION_DEADLINE: String(DEADLINE_SECONDS) },
  };
  const owners = await Promise.all(Array.from({ length: 5 }, () => withCoins(app, 200)));
  const workers = await Promise.all([
    ProductProcess.start('worker', variables),
    ProductProcess.start('worker', variables),
  ]);
  try {
    await delayNextSlot(DEADLINE_SECONDS + 2);
    const firstAt = Date.now() + (DEADLINE_SECONDS + 2) * 1_000;
    const ids = await Promise.all(owners.map((owner) => begin(owner, { count: 2 })));
    const completed = await eventually(
      () => completedOf(ids),
      ({ length }) => length === ids.length,
      40_000,
    );
    expect(completed).toHaveLength(ids.length);
    // Of the clocks of two processes one may be a little ahead.
    const tooEarly = askedAt
      .toSorted((one, other) => one - other)
      .filter((at, index) => at < firstAt + index * SPACING_MS - 250);
    expect(tooEarly).toEqual([]);
    expect(askedAt).toHaveLength(2 * ids.length);
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
  }
}, 60_000);

it('gives out slots one after the other, however many ask at once', async () => {
  const em = app.app.get(EntityManager).fork();
  const env = readEnv({ ...app.variables, GENERATION_RATE_PER_MINUTE: '6000' });
  const slots = new ModelSlots(em, env);
  // So far ahead that time adds nothing to it while they ask.
  await slots.take('another-model', 6_000);
  const nextAt = async () => {
    const [row] = await app.database.query<{ at: number }>(
      `select (extract(epoch from next_at) * 1000)::float8 as at
       from model_slots where model = 'another-model'`,
    );
    return row!.at;
  };
  const before = await nextAt();
  const wanted = Array.from({ length: 50 }, (_, index) => (index % 4) + 1);
  const taken = await Promise.all(wanted.map((pictures) => slots.take('another-model', pictures)));
  expect(new Set(taken.map(({ spacingMs }) => spacingMs))).toEqual(new Set([10]));
  // Not one was given out twice: all of them come after each other.
  const pictures = wanted.reduce((sum, each) => sum + each, 0);
  expect((await nextAt()) - before).toBeCloseTo(pictures * 10, 0);
});

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
