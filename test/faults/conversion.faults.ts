import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { readEnv } from '../../src/core/env.js';
import { createLogger, PinoNestLogger } from '../../src/core/logging.js';
import { DecoderPool } from '../../src/images/decoding/decoder-pool.js';
import { WorkerModule } from '../../src/worker.module.js';
import { decoderPoolFromSources } from '../decoding.js';
import { eventually } from '../eventually.js';
import { storedFiles } from '../image-requests.js';
import { makePicture } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';

const PATIENCE_MS = 120_000;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { QUEUE_PER_OWNER: '200', CLEANUP_GRACE_SECONDS: '1' },
  });
});

afterEach(async () => {
  await app.worker?.kill();
  app.worker = undefined;
});

afterAll(() => app.close());

async function accept(file: Buffer): Promise<string> {
  const request = app.as(account).post('/api/v1/images/upload?force=true');
  const { body } = await request.attach('image', file, 'x').expect(202);
  return body.id;
}

/** How many images of the account are in each status. */
async function statuses(): Promise<Record<string, number>> {
  const rows = await app.database.query<{ status: string; count: number }>(
    'select status, count(*)::int as count from images where user_id = $1 group by status',
    [account.userId],
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

const isOver = (counts: Record<string, number>) => !counts['PENDING'] && !counts['PROCESSING'];

describe('a file that kills its decoder', () => {
  let worker: TestingModule;

  afterEach(() => worker.close());

  it('fails alone, of a hundred, and the worker lives on', async () => {
    account = await app.register();
    const harmless = await makePicture({ width: 400, height: 300 });
    for (let n = 0; n < 100; n += 1) {
      await accept(
        n === 50 ? Buffer.concat([harmless, Buffer.from('fatal to decoders')]) : harmless,
      );
    }
    worker = await startMisbehavingWorker();

    const counts = await eventually(statuses, isOver, PATIENCE_MS);
    expect(counts).toEqual({ COMPLETED: 99, FAILED: 1 });
    const [failed] = await app.database.query<{ error_code: string }>(
      `select error_code from images where user_id = $1 and status = 'FAILED'`,
      [account.userId],
    );
    expect(failed?.error_code).toBe('decoder-crashed');
    expect(await app.database.query('select 1 from failed_jobs')).toEqual([]);
  });

  /** The worker as it is, but for children that a file can tell to misbehave. */
  async function startMisbehavingWorker(): Promise<TestingModule> {
    const env = readEnv(app.variables);
    const pool = decoderPoolFromSources({
      size: 2,
      memoryMb: 1_200,
      childModule: new URL('./fatal-file.child.ts', import.meta.url),
    });
    const module = await Test.createTestingModule({ imports: [WorkerModule.forRoot(env)] })
      .overrideProvider(DecoderPool)
      .useValue(pool)
      .setLogger(new PinoNestLogger(createLogger(env, 'worker')))
      .compile();
    await module.init();
    return module;
  }
});

describe('a worker that is killed', () => {
  it('ten times during fifty conversions loses none of them', async () => {
    account = await app.register();
    const picture = await makePicture({ width: 3000, height: 2000 });
    for (let n = 0; n < 50; n += 1) await accept(picture);
    for (let kills = 0; kills < 10; kills += 1) {
      const worker = await app.startWorker();
      await sleep(300 + kills * 60);
      await worker.kill();
    }
    await app.startWorker();

    const counts = await eventually(statuses, isOver, PATIENCE_MS);
    expect(counts).toEqual({ COMPLETED: 50 });
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 50 * 4,
    );
    expect(files).toHaveLength(50 * 4);
  });
});

describe('a fault of storage on one of the variants', () => {
  it.each(['original-1.jpg', 'large-1.webp', 'medium-1.webp', 'thumbnail-1.webp'])(
    'leaves the image unfinished, and it is completed when the fault is mended: %s',
    async (name) => {
      account = await app.register();
      const id = await accept(await makePicture());
      const [row] = await app.database.query<{ storage_key: string }>(
        'select storage_key from images where id = $1',
        [id],
      );
      const folder = join(app.variables['DATA_DIR'] ?? '', 'files', row!.storage_key, '..');
      // A folder in the place of the file cannot be replaced by it.
      await mkdir(join(folder, name));
      await app.startWorker();
      await eventually(
        () =>
          app.database.query<{ attempts: number }>('select attempts from images where id = $1', [
            id,
          ]),
        ([image]) => image!.attempts > 0,
      );
      await sleep(1_000);
      expect(isOver(await statuses())).toBe(false);
      expect(
        await app.database.query('select 1 from image_variants where image_id = $1', [id]),
      ).toEqual([]);

      await rmdir(join(folder, name));
      expect(await eventually(statuses, isOver, 30_000)).toEqual({ COMPLETED: 1 });
      const files = await eventually(
        () => storedFiles(app, account),
        (names) => names.length === 4,
      );
      expect(files.toSorted()).toEqual([
        'large-1.webp',
        'medium-1.webp',
        'original-1.jpg',
        'thumbnail-1.webp',
      ]);
    },
  );
});

describe('a deletion', () => {
  it('wins against a running conversion, fifty times, and leaves no file after the grace', async () => {
    account = await app.register();
    await app.startWorker();
    const picture = await makePicture({ width: 2000, height: 1500 });
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        await sleep(n * 40);
        const id = await accept(picture);
        await sleep((n * 37) % 600);
        await app.as(account).delete(`/api/v1/images/${id}`).expect(204);
      }),
    );
    expect(await statuses()).toEqual({});
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 0,
      30_000,
    );
    expect(files).toEqual([]);
    expect(await app.database.query('select 1 from failed_jobs')).toEqual([]);
    expect(await app.database.query('select 1 from image_variants')).toEqual(
      await app.database.query('select 1 from image_variants join images on id = image_id'),
    );
  });
});
