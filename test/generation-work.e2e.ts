import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { Exposition } from './exposition.js';
import { freePort } from './free-port.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';
import {
  balanceOf,
  finalGeneration,
  generate,
  ledgerFaults,
  NO_FAULTS,
  refuseToStore,
  storeAgain,
  withCoins,
} from './generation-requests.js';
import { removalsOf } from './image-requests.js';
import { S3Server } from './s3/s3-server.js';
import { type Account, TestingApp } from './testing-app.js';

let gemini: GeminiServer;
let store: S3Server;
let app: TestingApp;
let ana: Account;
/** Where the worker tells its figures. */
let workerUrl: string;

beforeAll(async () => {
  [gemini, store] = await Promise.all([GeminiServer.start(), S3Server.start()]);
  const WORKER_METRICS_PORT = String(await freePort());
  workerUrl = `http://127.0.0.1:${WORKER_METRICS_PORT}`;
  app = await TestingApp.start({
    variables: { ...gemini.variables, ...store.variables, WORKER_METRICS_PORT },
  });
  ana = await withCoins(app, 100_000);
});

afterAll(async () => {
  await app.close();
  await Promise.all([gemini.close(), store.close()]);
});

afterEach(() => {
  gemini.next.length = 0;
  gemini.requests.length = 0;
  store.faults.clear();
});

async function make(asked: object = {}) {
  const { body } = await generate(app, ana, asked, { wait: 30 }).expect(201);
  return body;
}

const filesOf = ({ userId }: Account) => store.bucket.keys(`images/${userId}/`);

/** How often the worker has decoded something, and how often it has stored files. */
async function workDone() {
  const seen = await Exposition.of(workerUrl);
  const times = (stage: string) => seen.count('atelier_image_stage_duration_seconds', { stage });
  return { decoded: times('decode'), stored: times('store') };
}

const endingsOf = (id: string) =>
  app.database.query<{ phase: string }>(
    'select phase from coin_transfers where reference = $1 and hold_id is not null',
    [id],
  );

describe('pictures that have come', () => {
  it('are kept while storage is away, and neither asked for nor decoded again', async () => {
    const before = await workDone();
    store.faults.add({ fail: 'SlowDown', on: 'PutObject', times: 60 });
    const { generation } = await make({ count: 2 });
    expect(generation).toMatchObject({ status: 'COMPLETED', attempts: 1 });
    expect(gemini.requests).toHaveLength(2);
    const after = await workDone();
    expect(after.decoded - before.decoded).toBe(2);
    expect(after.stored - before.stored).toBeGreaterThan(2);
  }, 60_000);

  it('are kept for as long as the others of their attempt may take', async () => {
    const { promise: late, resolve: arrive } = Promise.withResolvers<GeminiAnswer>();
    const picture = { parts: [pictureOf(gemini.picture)] };
    gemini.next.push(picture, () => late);
    const bob = await withCoins(app, 200);
    const { body } = await generate(app, bob, { count: 2 }).expect(202);
    await eventually(
      async () => filesOf(bob).length,
      (count) => count > 6,
    );
    // As if its attempt had taken all of its ten minutes.
    await app.database.query(
      `update file_removals set due_at = due_at - interval '10 minutes' where target like $1`,
      [`images/${bob.userId}/%`],
    );
    arrive(picture);
    const final = await finalGeneration(app, bob, body.generation.id);
    expect(final).toMatchObject({ status: 'COMPLETED', attempts: 1, coins: { charged: 200 } });
    expect(await removalsOf(app, bob)).toEqual([]);
  });

  it('are paid for, when another fails by a fault of ours', async () => {
    await refuseToStore(app, 1);
    const { images, generation } = await make({ count: 2 });
    await storeAgain(app);
    expect(generation).toMatchObject({
      ...{ status: 'COMPLETED', attempts: 1 },
      coins: { held: 0, charged: 100, returned: 100 },
    });
    const codes = images.map(({ error }: { error: { code: string } | null }) => error?.code);
    expect(codes.filter((code: unknown) => code === 'internal-error')).toHaveLength(1);
    expect(gemini.requests).toHaveLength(2);
  }, 60_000);

  it('are asked for again when a fault of ours has hit all that somebody still wants', async () => {
    const held = Promise.withResolvers<undefined>();
    const picture = { parts: [pictureOf(gemini.picture)] };
    gemini.next.push(
      () => held.promise.then(() => picture),
      () => held.promise.then(() => picture),
    );
    const { body } = await generate(app, ana, { count: 2 }).expect(202);
    await gemini.asked(2);
    await app.as(ana).delete(`/api/v1/images/${body.images[1].id}`).expect(204);
    await refuseToStore(app, 1);
    held.resolve(undefined);
    const final = await finalGeneration(app, ana, body.generation.id);
    await storeAgain(app);
    expect(final).toMatchObject({
      ...{ status: 'COMPLETED', attempts: 2, imageIds: [body.images[0].id] },
      coins: { held: 0, charged: 100, returned: 100 },
    });
    expect(gemini.requests).toHaveLength(3);
  }, 60_000);

  it('leave no files when their owner has cancelled meanwhile, and the model is hung up on', async () => {
    const bob = await withCoins(app, 200);
    gemini.next.push({ parts: [pictureOf(gemini.picture)] }, 'hang');
    const { body } = await generate(app, bob, { count: 2 }).expect(202);
    await eventually(
      async () => filesOf(bob).length,
      (count) => count > 0,
    );
    await app.as(bob).delete(`/api/v1/generations/${body.generation.id}`).expect(200);
    await eventually(
      async () => [filesOf(bob).length, (await removalsOf(app, bob)).length],
      ([files, removals]) => files === 0 && removals === 0,
    );
    await eventually(
      async () => gemini.requests.filter(({ isOpen }) => isOpen()).length,
      (open) => open === 0,
    );
    expect(await endingsOf(body.generation.id)).toEqual([{ phase: 'VOID' }]);
    expect(await balanceOf(app, bob)).toEqual({ posted: 200, held: 0, available: 200 });
  });
});

it('each image has its own reason when none has come', async () => {
  gemini.next.push({ blockReason: 'SAFETY' }, { parts: [{ text: 'No.' }] });
  const { images, generation } = await make({ count: 2 });
  const codes = images.map(({ error }: { error: { code: string } }) => error.code);
  expect(codes.toSorted()).toEqual(['blocked', 'no-image']);
  expect(generation.error.code).toBe(codes[0]);
  expect(await endingsOf(generation.id)).toEqual([{ phase: 'VOID' }]);
});

describe('a generation whose worker has died', () => {
  /** As a worker leaves it that was killed while it asked the model, some time before its deadline. */
  async function leftBehind(deadline: string): Promise<string> {
    app.worker!.signal('SIGSTOP');
    const { body } = await generate(app, ana).expect(202);
    await app.database.query(
      `update generations set status = 'PROCESSING', attempts = 1, lease_id = $2, queued_at = null,
              leased_until = now() - interval '1 second', deadline_at = now() + $3::interval
       where id = $1`,
      [body.generation.id, newId(), deadline],
    );
    app.worker!.signal('SIGCONT');
    return body.generation.id;
  }

  it('is over with its deadline: nobody is asked again, and its hold expires', async () => {
    const final = await finalGeneration(app, ana, await leftBehind('-1 second'));
    expect(final).toMatchObject({
      ...{ status: 'FAILED', error: { code: 'timeout' } },
      coins: { held: 0, charged: 0, returned: 100 },
    });
    expect(await endingsOf(final.id)).toEqual([{ phase: 'EXPIRE' }]);
    expect(gemini.requests).toHaveLength(0);
  });

  it('is made by another one until then', async () => {
    const final = await finalGeneration(app, ana, await leftBehind('50 seconds'));
    expect(final).toMatchObject({ status: 'COMPLETED', attempts: 2 });
    expect(gemini.requests).toHaveLength(1);
  });

  it('is over also when no worker has a place for it', async () => {
    const id = await leftBehind('-1 second');
    // Not due for an hour: nothing but the sweep ends it.
    await app.database.query(
      `update generations set next_attempt_at = now() + interval '1 hour' where id = $1`,
      [id],
    );
    const final = await finalGeneration(app, ana, id);
    expect(final.error.code).toBe('timeout');
  });
});

it('the row tells which model was asked, whatever the API had in mind', async () => {
  await app.worker!.stop();
  await app.startWorker({ GEMINI_IMAGE_MODEL: 'gemini-of-another-name' });
  const { generation } = await make();
  expect(generation).toMatchObject({
    model: { name: 'gemini-of-another-name', driver: 'gemini' },
    error: { code: 'model-retired' },
  });
}, 60_000);

it('a worker that has no model says that there is none to ask', async () => {
  await app.worker!.stop();
  await app.startWorker({
    GEMINI_API_KEY: '',
    GEMINI_BASE_URL: '',
    NODE_ENV: 'production',
    RATE_LIMITS: 'on',
  });
  const { generation } = await make();
  expect(generation).toMatchObject({ status: 'FAILED', error: { code: 'unavailable' } });
}, 60_000);

it('leaves a ledger without a fault', async () => {
  expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
});
