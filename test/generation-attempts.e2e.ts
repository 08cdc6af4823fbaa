import { getQueueToken } from '@nestjs/bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Queue } from 'bullmq';
import { paintPictures } from '../src/generation/generation.jobs.js';
import { registerAdmin } from './administrators.js';
import { eventually } from './eventually.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';
import {
  balanceOf,
  finalGeneration,
  generate,
  ledgerFaults,
  NO_FAULTS,
  refuseToStore,
  storeAgain,
  transfersFor,
  withCoins,
} from './generation-requests.js';
import { letterBecomes, letterOf, lettersOf } from './given-up.js';
import { fileFaults, NO_FILE_FAULTS } from './left-behind.js';
import { type Account, TestingApp } from './testing-app.js';

const { attempts: ATTEMPTS } = paintPictures.retry;
const LETTERS = '/api/v1/admin/failed-jobs';

let gemini: GeminiServer;
let app: TestingApp;

beforeAll(async () => {
  gemini = await GeminiServer.start();
  app = await TestingApp.start({ variables: gemini.variables });
});

afterAll(async () => {
  await app.close();
  await gemini.close();
});

afterEach(() => {
  gemini.requests.length = 0;
});

const show = async (as: Account, id: string) =>
  (await app.as(as).get(`/api/v1/generations/${id}`).expect(200)).body;
const imagesOf = async (as: Account) =>
  (await app.as(as).get('/api/v1/images').expect(200)).body.items;

async function begin(as: Account): Promise<string> {
  const { body } = await generate(app, as).expect(202);
  return body.generation.id;
}

/** Has the model wait with its next answer. @returns lets it answer */
function holdAnswer(): () => void {
  const { promise, resolve } = Promise.withResolvers<GeminiAnswer>();
  gemini.next.push(() => promise);
  return () => {
    resolve({ parts: [pictureOf(gemini.picture)] });
  };
}

/** As when a worker's lease has run out. */
const endLease = (id: string) =>
  app.database.query('update generations set leased_until = now() where id = $1', [id]);

/** Waits until all attempts are used up, without the rests between them. */
async function untilGivenUp(id: string): Promise<void> {
  await eventually(
    async () => {
      await app.database.query(
        `update generations set next_attempt_at = now()
         where id = $1 and lease_id is null and next_attempt_at > now()`,
        [id],
      );
      return lettersOf(app, id);
    },
    ([letter]) => letter?.status === 'FAILED',
    30_000,
  );
}

async function expectPaidOnce(as: Account, id: string): Promise<void> {
  expect(await show(as, id)).toMatchObject({
    status: 'COMPLETED',
    coins: { held: 0, charged: 100, returned: 0 },
  });
  expect(await transfersFor(app, as)).toEqual([
    { phase: 'HOLD', reference: id, amount: 100 },
    { phase: 'POST', reference: id, amount: 100 },
  ]);
  expect(await balanceOf(app, as)).toEqual({ posted: 900, held: 0, available: 900 });
  expect(await imagesOf(as)).toMatchObject([{ status: 'COMPLETED', coinsUsed: 100 }]);
}

async function expectGivenBack(as: Account, id: string): Promise<void> {
  expect(await show(as, id)).toMatchObject({
    ...{ status: 'FAILED', attempts: ATTEMPTS, error: { code: 'internal-error' } },
    coins: { held: 0, charged: 0, returned: 100 },
  });
  expect(await transfersFor(app, as)).toEqual([
    { phase: 'HOLD', reference: id, amount: 100 },
    { phase: 'VOID', reference: id, amount: 100 },
  ]);
  expect(await balanceOf(app, as)).toEqual({ posted: 1_000, held: 0, available: 1_000 });
  expect(await imagesOf(as)).toMatchObject([
    { status: 'FAILED', coinsUsed: 0, error: { code: 'internal-error' } },
  ]);
}

describe('a generation', () => {
  it('that comes from the queue again when it is over is left as it is', async () => {
    const ana = await withCoins(app, 1_000);
    const { body } = await generate(app, ana, {}, { wait: 30 }).expect(201);
    const { id } = body.generation;
    const queue = app.app.get<Queue>(getQueueToken(paintPictures.name), { strict: false });
    const carrier = { payload: paintPictures.payloadOf(id), requestId: null };
    const ids = ['again-a', 'again-b'];
    await queue.addBulk(
      ids.map((jobId) => ({
        ...{ name: paintPictures.name, data: carrier, opts: { jobId, removeOnComplete: true } },
      })),
    );
    const left = await eventually(
      () => Promise.all(ids.map((jobId) => queue.getJob(jobId))),
      (jobs) => jobs.every((job) => !job),
    );
    expect(left.filter(Boolean)).toEqual([]);
    expect(await show(ana, id)).toEqual(body.generation);
    await expectPaidOnce(ana, id);
    expect(gemini.requests).toHaveLength(1);
  });

  it('that two workers have at once is paid for once, and keeps the files of one', async () => {
    const ana = await withCoins(app, 1_000);
    const frozen = app.worker!;
    const letAnswer = holdAnswer();
    const id = await begin(ana);
    await gemini.asked(1);
    frozen.signal('SIGSTOP');
    await endLease(id);
    await app.startWorker();
    const final = await finalGeneration(app, ana, id);
    expect(final).toMatchObject({ status: 'COMPLETED', attempts: 2 });
    // The first worker knows of nothing, and gets its picture, too.
    letAnswer();
    frozen.signal('SIGCONT');
    expect(await frozen.stop()).toBe(0);
    expect(gemini.requests).toHaveLength(2);
    expect(await show(ana, id)).toEqual(final);
    await expectPaidOnce(ana, id);
    expect(await lettersOf(app, id)).toEqual([]);
    const dataDir = app.variables['DATA_DIR'] ?? '';
    expect(await fileFaults(dataDir, app.database)).toEqual(NO_FILE_FAULTS);
  });
});

describe('a generation that fails for a fault of ours, as often as it is tried,', () => {
  it('gives its coins back once, and its dead letter brings nothing back', async () => {
    const admin = await registerAdmin(app);
    const [ana, bob] = [await withCoins(app, 1_000), await withCoins(app, 1_000)];
    await refuseToStore(app, 2 * ATTEMPTS);
    const ids = [await begin(ana), await begin(bob)] as const;
    for (const id of ids) await untilGivenUp(id);
    await storeAgain(app);
    await expectGivenBack(ana, ids[0]);
    await expectGivenBack(bob, ids[1]);
    const letters = [await letterOf(app, ids[0]), await letterOf(app, ids[1])] as const;
    for (const letter of letters) {
      expect(letter).toMatchObject({
        status: 'FAILED',
        error: expect.stringContaining('division by zero'),
      });
    }
    const before = [await show(ana, ids[0]), await show(bob, ids[1])];
    const asked = gemini.requests.length;

    // There is nothing to try again: who still wants a picture asks, and pays, for another.
    const { body: one } = await app.as(admin).post(`${LETTERS}/${letters[0].id}/retry`).expect(202);
    expect(one).toMatchObject({ id: letters[0].id, status: 'RESOLVED', retries: 0 });
    const { body: all } = await app.as(admin).post(`${LETTERS}/retry`).send({ all: true });
    expect(all).toMatchObject({ matched: 1, changed: 1 });
    expect(await letterOf(app, ids[1])).toMatchObject({ status: 'RESOLVED', retries: 0 });

    // A worker that would try them would do so before what comes after them.
    const carla = await withCoins(app, 1_000);
    const { body } = await generate(app, carla, {}, { wait: 30 }).expect(201);
    await expectPaidOnce(carla, body.generation.id);
    expect(gemini.requests).toHaveLength(asked + 1);
    expect([await show(ana, ids[0]), await show(bob, ids[1])]).toEqual(before);
    await expectGivenBack(ana, ids[0]);
    await expectGivenBack(bob, ids[1]);
  }, 90_000);

  it('because it kills its worker, gives its coins back as well', async () => {
    const ana = await withCoins(app, 1_000);
    gemini.next.push('hang');
    const id = await begin(ana);
    await gemini.asked(1);
    await app.worker?.kill();
    // As if each worker had died with it that the attempts allow.
    await app.database.query('update generations set attempts = $2 where id = $1', [id, ATTEMPTS]);
    await endLease(id);
    await app.startWorker();
    const letter = await letterBecomes(app, id, 'FAILED');
    expect(letter?.error).toContain('The worker died');
    await expectGivenBack(ana, id);
  });
});

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
