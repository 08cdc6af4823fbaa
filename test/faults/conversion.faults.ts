import { mkdir, readdir, rmdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import pg from 'pg';
import { childrenOf, cpuMsOfTree, requireProc } from '../../bench/process-usage.js';
import { readEnv } from '../../src/core/env.js';
import { createLogger, PinoNestLogger } from '../../src/core/logging.js';
import { DecoderPool } from '../../src/images/decoding/decoder-pool.js';
import { WorkerModule } from '../../src/worker.module.js';
import { decoderPoolFromSources } from '../decoding.js';
import { eventually } from '../eventually.js';
import { storedFiles } from '../image-requests.js';
import { makePicture } from '../pictures.js';
import { type ProductProcess } from '../product-process.js';
import { type Account, TestingApp } from '../testing-app.js';

const PATIENCE_MS = 120_000;
/** A decoder that has used so much CPU has been loaded and decodes. */
const DECODER_START_MS = 250;

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

interface Work {
  status: string;
  attempts: number;
  error_code: string | null;
}

/** How the work on an image stands; undefined when it was deleted. */
async function workOf(id: string): Promise<Work | undefined> {
  const [row] = await app.database.query<Work & Record<string, unknown>>(
    'select status, attempts, error_code from images where id = $1',
    [id],
  );
  return row;
}

/** The paths of what lies in a folder of the product's data. */
async function entriesOf(folder: string): Promise<string[]> {
  const path = join(app.variables['DATA_DIR'] ?? '', folder);
  return (await readdir(path)).map((name) => join(path, name));
}

/** Files that never became whole, and the folders that pictures are decoded in. */
async function leftovers(): Promise<string[]> {
  const entries = await Promise.all(['files/.incoming', 'work'].map(entriesOf));
  return entries.flat();
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

describe('a decoder that is killed from outside', () => {
  it('once, costs its image no attempt', async () => {
    const { id, worker } = await startConversion();
    await killDecoder(worker);

    expect(await eventually(statuses, isOver)).toEqual({ COMPLETED: 1 });
    expect(await workOf(id)).toEqual({ status: 'COMPLETED', attempts: 1, error_code: null });
  });

  it('twice in a row, is taken for the fault of its file', async () => {
    const { id, worker } = await startConversion();
    const first = await killDecoder(worker);
    await killDecoder(worker, first);

    expect(await eventually(statuses, isOver)).toEqual({ FAILED: 1 });
    const error_code = 'decoder-crashed';
    expect(await workOf(id)).toEqual({ status: 'FAILED', attempts: 1, error_code });
    expect(childrenOf(worker.pid)).toEqual([]);
  });

  /** An image that takes a second or so, and the worker that has nothing else to do. */
  async function startConversion(): Promise<{ id: string; worker: ProductProcess }> {
    requireProc();
    account = await app.register();
    const id = await accept(await makePicture({ width: 2600, height: 1900, format: 'png' }));
    const worker = await app.startWorker();
    return { id, worker };
  }

  /** Kills the next decoder, once it works on the picture. @returns its process id */
  async function killDecoder({ pid }: ProductProcess, previous?: number): Promise<number> {
    const others = async () => childrenOf(pid).filter((child) => child !== previous);
    const [decoder] = await eventually(others, (children) => children.length > 0);
    await eventually(
      async () => cpuMsOfTree(decoder!),
      (ms) => ms > DECODER_START_MS,
    );
    expect(await statuses()).toEqual({ PROCESSING: 1 });
    process.kill(decoder!, 'SIGKILL');
    return decoder!;
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
    // Or no kill would have hit a conversion.
    expect(await entriesOf('work')).not.toEqual([]);
    // A worker sweeps away both when it starts: files that were not whole after an hour, and the
    // folders that pictures were decoded in after five minutes.
    for (const folder of ['files/.incoming', 'work']) await makeOld(await entriesOf(folder));
    await app.worker?.kill();
    await app.startWorker();
    expect(await eventually(leftovers, (paths) => paths.length === 0)).toEqual([]);
  });

  async function makeOld(paths: string[]): Promise<void> {
    const longAgo = new Date(Date.now() - 2 * 60 * 60 * 1_000);
    for (const path of paths) await utimes(path, longAgo, longAgo);
  }
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
  const RACES = 50;

  it('wins against a running conversion, fifty times, and leaves no file after the grace', async () => {
    requireProc();
    account = await app.register();
    const worker = await app.startWorker({ LOG_LEVEL: 'info' });
    const picture = await makePicture({ width: 3000, height: 2000 });
    const ids: string[] = [];
    // As many at once as the worker converts: each is begun as soon as it is there.
    const lanes = Array.from({ length: 2 }, async () => {
      while (ids.length < RACES) {
        const n = ids.push('') - 1;
        const id = await accept(picture);
        ids[n] = id;
        await eventually(() => workOf(id), isProcessing);
        if (n % 2 === 0) await deleteWhileDecoding(id, n);
        else if (n % 10 === 9) await deleteLongBeforeStoring(id, worker);
        else await deleteWhenStored(id);
        await app.as(account).get(`/api/v1/images/${id}`).expect(404);
      }
    });
    await Promise.all(lanes);

    expect(await statuses()).toEqual({});
    // The worker had begun with each of them, and found it gone when it was done.
    const lost = ids.map((rowId) => ({ rowId, outcome: 'lost' }));
    const outcomes = await eventually(
      async () => outcomesOf(worker),
      (all) => all.length >= RACES,
    );
    expect(outcomes.toSorted(byRow)).toEqual(lost.toSorted(byRow));
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 0,
      30_000,
    );
    expect(files).toEqual([]);
    expect(await leftovers()).toEqual([]);
    expect(await app.database.query('select 1 from failed_jobs')).toEqual([]);
    expect(await app.database.query('select 1 from image_variants')).toEqual(
      await app.database.query('select 1 from image_variants join images on id = image_id'),
    );
  });

  const isProcessing = (row: Work | undefined) => row?.status === 'PROCESSING';

  async function deleteWhileDecoding(id: string, n: number): Promise<void> {
    await sleep((n * 7) % 150);
    expect(isProcessing(await workOf(id))).toBe(true);
    await app.as(account).delete(`/api/v1/images/${id}`).expect(204);
  }

  /** Stops the decoders until the files of the deleted image are gone: the worker then stores more. */
  async function deleteLongBeforeStoring(id: string, { pid }: ProductProcess): Promise<void> {
    const decoders = await eventually(
      async () => childrenOf(pid),
      (children) => children.length > 0,
    );
    for (const decoder of decoders) process.kill(decoder, 'SIGSTOP');
    try {
      await deleteWhileDecoding(id, 0);
      const names = await eventually(
        () => filesOf(id),
        (all) => all.length === 0,
      );
      expect(names).toEqual([]);
    } finally {
      for (const decoder of decoders) process.kill(decoder, 'SIGCONT');
    }
  }

  /** Holds the row until all files are stored: the deletion waits for it, and the worker behind it. */
  async function deleteWhenStored(id: string): Promise<void> {
    const holder = new pg.Client({ connectionString: app.database.ownerUrl });
    await holder.connect();
    try {
      await holder.query('begin');
      const { rows } = await holder.query<Work & { pid: number }>(
        'select status, pg_backend_pid() as pid from images where id = $1 for update',
        [id],
      );
      expect(rows).toMatchObject([{ status: 'PROCESSING' }]);
      const deletion = app.as(account).delete(`/api/v1/images/${id}`).expect(204).then();
      await eventually(
        () => waitingFor(rows[0]!.pid),
        (count) => count > 0,
      );
      const names = await eventually(
        () => filesOf(id),
        (all) => all.length === 5,
      );
      expect(names).toHaveLength(5);
      await holder.query('commit');
      await deletion;
    } finally {
      await holder.end();
    }
  }

  /** The upload, and what was made of it. */
  async function filesOf(id: string): Promise<string[]> {
    // Gone with the last file in it.
    const folders = await entriesOf(`files/images/${account.userId}`).catch(() => []);
    const folder = folders.find((path) => path.endsWith(id));
    return folder === undefined ? [] : readdir(folder);
  }

  /** How many wait for a lock of a connection. */
  async function waitingFor(pid: number): Promise<number> {
    const waiting = await app.database.query(
      'select 1 from pg_stat_activity where $1 = any(pg_blocking_pids(pid))',
      [pid],
    );
    return waiting.length;
  }

  interface Outcome {
    rowId: string;
    outcome: string;
  }

  /** What the worker logged about the ends of its attempts. */
  function outcomesOf({ output }: ProductProcess): Outcome[] {
    return output
      .split('\n')
      .filter((line) => line.includes('"Attempt over"'))
      .map((line) => JSON.parse(line) as Outcome)
      .map(({ rowId, outcome }) => ({ rowId, outcome }));
  }

  const byRow = (a: Outcome, b: Outcome) => (a.rowId < b.rowId ? -1 : 1);
});
