import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { GeminiServer } from './gemini-server.js';
import {
  balanceOf,
  finalGeneration,
  ledgerFaults,
  NO_FAULTS,
  transfersFor,
  withCoins,
} from './generation-requests.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

const BURST = 500;
const REPEATS = 200;

let gemini: GeminiServer;
let app: TestingApp;
let replica: ProductProcess;
let urls: string[];

beforeAll(async () => {
  gemini = await GeminiServer.start();
  app = await TestingApp.start({ variables: gemini.variables });
  const { api, url } = await ProductProcess.startApi(app.variables);
  replica = api;
  urls = [app.url, url];
});

afterAll(async () => {
  await replica.stop();
  await app.close();
  await gemini.close();
});

beforeEach(() => {
  gemini.requests.length = 0;
});

/** Asks one of two APIs in turn, so that neither knows of all. */
async function ask(number: number, { token }: Account, key?: string, prompt = 'A fox in the snow') {
  const answer = await fetch(`${urls[number % urls.length]}/api/v1/images/generate`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: JSON.stringify({ prompt }),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as any };
}

const burst = <T>(count: number, send: (number: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, number) => send(number)));

const rowsOf = async ({ userId }: Account) => {
  const [rows] = await app.database.query(
    `select (select count(*)::int from generations where user_id = $1) as generations,
            (select count(*)::int from images where user_id = $1) as images`,
    [userId],
  );
  return rows;
};

describe('of requests for pictures that come at once', () => {
  it('one is taken from who can pay for one, and the model is asked once', async () => {
    const bob = await withCoins(app, 100);
    // Half of them with a key: those are not refused before the ledger is asked.
    const keys = Array.from({ length: BURST }, (_, number) =>
      number % 4 < 2 ? newId() : undefined,
    );
    const answers = await burst(BURST, (number) => ask(number, bob, keys[number]));
    const { 202: taken = [], 402: refused = [] } = Object.groupBy(answers, ({ status }) => status);
    expect([taken.length, refused.length]).toEqual([1, BURST - 1]);
    for (const { body } of refused) {
      expect(body).toMatchObject({ code: 'insufficient-coins', need: 100, have: 0 });
    }
    const { id } = taken[0]!.body.generation;
    expect(await finalGeneration(app, bob, id)).toMatchObject({ status: 'COMPLETED' });
    expect(await transfersFor(app, bob)).toEqual([
      { phase: 'HOLD', reference: id, amount: 100 },
      { phase: 'POST', reference: id, amount: 100 },
    ]);
    expect(await rowsOf(bob)).toEqual({ generations: 1, images: 1 });
    expect(await balanceOf(app, bob)).toEqual({ posted: 0, held: 0, available: 0 });
    expect(gemini.requests).toHaveLength(1);
    // A refusal keeps no key: who has coins then may send it again.
    const refusedKey = keys.find(
      (key, number) => key !== undefined && answers[number]?.status === 402,
    );
    expect((await ask(0, bob, refusedKey)).status).toBe(402);
  }, 60_000);

  it('one is taken of those with one key, and the model is asked once', async () => {
    const bob = await withCoins(app, 10_000);
    const key = newId();
    const answers = await burst(REPEATS, (number) => ask(number, bob, key));
    const { 202: taken = [], 409: early = [] } = Object.groupBy(answers, ({ status }) => status);
    expect(taken.length).toBeGreaterThan(0);
    expect(taken.length + early.length).toBe(REPEATS);
    for (const { body, headers } of early) {
      expect(body.code).toBe('idempotency-in-progress');
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
    const first = taken.filter(({ headers }) => !headers.has('idempotency-replayed'));
    expect(first).toHaveLength(1);
    for (const { body } of taken) expect(body).toEqual(first[0]?.body);
    const { id } = first[0]!.body.generation;
    expect(await finalGeneration(app, bob, id)).toMatchObject({ status: 'COMPLETED' });

    const late = await burst(2, (number) => ask(number, bob, key));
    for (const { body, headers } of late) {
      expect([body.generation.id, headers.get('idempotency-replayed')]).toEqual([id, 'true']);
    }
    expect((await ask(0, bob, key, 'Another')).status).toBe(422);
    expect(await transfersFor(app, bob)).toEqual([
      { phase: 'HOLD', reference: id, amount: 100 },
      { phase: 'POST', reference: id, amount: 100 },
    ]);
    expect(await rowsOf(bob)).toEqual({ generations: 1, images: 1 });
    expect(await balanceOf(app, bob)).toEqual({ posted: 9_900, held: 0, available: 9_900 });
    expect(gemini.requests).toHaveLength(1);
  }, 60_000);
});

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
