import { mkdir, readFile, rm, rmdir, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { childrenOf, cpuMsOfTree, requireProc } from '../../bench/process-usage.js';
import { readEnv } from '../../src/core/env.js';
import { createLogger, PinoNestLogger } from '../../src/core/process/logging.js';
import { DecoderPool } from '../../src/images/decoding/decoder-pool.js';
import { WorkerModule } from '../../src/worker.module.js';
import { decoderPoolFromSources } from '../decoding.js';
import { eventually } from '../eventually.js';
import { fileNamesOf, storedFiles } from '../image-requests.js';
import { makePicture } from '../pictures.js';
import { type ProductProcess } from '../product-process.js';
import { type Account, TestingApp } from '../testing-app.js';
import {
  acceptPicture,
  entriesOf,
  hurryRemovals,
  isOver,
  leftoversOf,
  statusesOf,
  workOf,
} from './conversions.js';

const PATIENCE_MS = 120_000;
/** A decoder that has used so much CPU has been loaded and decodes. */
const DECODER_START_MS = 200;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: {
      QUEUE_PER_OWNER: '200',
      CLEANUP_GRACE_SECONDS: '1',
      UPLOAD_MAX_BYTES: String(100 * 1024 * 1024),
    },
  });
});

afterEach(async () => {
  await app.worker?.kill();
  app.worker = undefined;
});

afterAll(() => app.close());

const accept = (file: Buffer) => acceptPicture(app, account, file);
const statuses = () => statusesOf(app, account);

describe('a file that its decoder does not survive', () => {
  let worker: TestingModule;

  beforeEach(() => rm(join(app.variables['DATA_DIR'] ?? '', 'tries'), { force: true }));
  afterEach(() => worker.close());

  it('fails alone, of a hundred, and the worker lives on', async () => {
    account = await app.register();
    const harmless = await makePicture({ width: 400, height: 300 });
    for (let n = 0; n < 100; n += 1) {
      await accept(
        n === 50 ? Buffer.concat([harmless, Buffer.from('crashes decoders')]) : harmless,
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

  it.each([
    ['crashes decoders', 'decoder-crashed'],
    ['hangs decoders', 'decode-timeout'],
    ['devours memory', 'decode-memory'],
  ])('fails after two tries: one that %s', async (effect, errorCode) => {
    account = await app.register();
    const harmless = await makePicture();
    const hostile = await accept(Buffer.concat([harmless, Buffer.from(effect)]));
    await accept(harmless);
    worker = await startMisbehavingWorker();

    const counts = await eventually(statuses, isOver, PATIENCE_MS);
    expect(counts).toEqual({ COMPLETED: 1, FAILED: 1 });
    expect(await workOf(app, hostile)).toEqual({
      ...{ status: 'FAILED', attempts: 1, error_code: errorCode },
    });
    const tries = await readFile(join(app.variables['DATA_DIR'] ?? '', 'tries'), 'utf8');
    expect(tries.split('\n').filter((line) => line === effect)).toHaveLength(2);
  });

  /** The worker as it is, but for children that a file can tell to misbehave. */
  async function startMisbehavingWorker(): Promise<TestingModule> {
    const env = readEnv({ ...app.variables, IMAGE_DECODE_TIMEOUT_MS: '5000' });
    const pool = decoderPoolFromSources({
      size: 2,
      memoryMb: 1_200,
      maxChildMb: 500,
      childModule: new URL('./hostile-file.child.ts', import.meta.url),
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

    expect(await eventually(statuses, isOver, PATIENCE_MS)).toEqual({ COMPLETED: 1 });
    expect(await workOf(app, id)).toEqual({ status: 'COMPLETED', attempts: 1, error_code: null });
  });

  it('twice in a row, is taken for the fault of its file', async () => {
    const { id, worker } = await startConversion();
    const first = await killDecoder(worker);
    await killDecoder(worker, first);

    expect(await eventually(statuses, isOver, PATIENCE_MS)).toEqual({ FAILED: 1 });
    const error_code = 'decoder-crashed';
    expect(await workOf(app, id)).toEqual({ status: 'FAILED', attempts: 1, error_code });
    expect(childrenOf(worker.pid)).toEqual([]);
  });

  /** An image that takes some seconds, and the worker that has nothing else to do. */
  async function startConversion(): Promise<{ id: string; worker: ProductProcess }> {
    requireProc();
    account = await app.register();
    const id = await accept(await makePicture({ width: 4000, height: 3000, format: 'png' }));
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
    // Or some kills would have hit nothing.
    expect(isOver(await statuses())).toBe(false);
    await app.startWorker();

    const counts = await eventually(statuses, isOver, PATIENCE_MS);
    expect(counts).toEqual({ COMPLETED: 50 });
    await hurryRemovals(app);
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 50 * 4,
    );
    expect(files).toHaveLength(50 * 4);
    // Or no kill would have hit a conversion.
    expect(await entriesOf(app, 'work')).not.toEqual([]);
    // A worker sweeps away both: files that did not become whole in half an hour, and the folders
    // that pictures were decoded in after five minutes.
    for (const folder of ['files/.incoming', 'work']) await makeOld(await entriesOf(app, folder));
    await app.worker?.kill();
    await app.startWorker();
    expect(
      await eventually(
        () => leftoversOf(app),
        (paths) => paths.length === 0,
      ),
    ).toEqual([]);
  });

  async function makeOld(paths: string[]): Promise<void> {
    const longAgo = new Date(Date.now() - 2 * 60 * 60 * 1_000);
    for (const path of paths) await utimes(path, longAgo, longAgo);
  }
});

describe('a fault of storage on one of the variants', () => {
  it.each([
    ['original', 'jpeg'],
    ['large', 'webp'],
    ['medium', 'webp'],
    ['thumbnail', 'webp'],
  ] as const)(
    'leaves the image unfinished, and it is completed when the fault is mended: %s',
    async (name, format) => {
      account = await app.register();
      const id = await accept(await makePicture());
      const [row] = await app.database.query<{ storage_key: string }>(
        'select storage_key from images where id = $1',
        [id],
      );
      const folder = join(app.variables['DATA_DIR'] ?? '', 'files', row!.storage_key, '..');
      // A folder in the place of the file cannot be replaced by it.
      const fileName = fileNamesOf(app.variables).nameOf({ imageId: id, name, version: 1, format });
      await mkdir(join(folder, fileName));
      await app.startWorker();
      await eventually(
        () =>
          app.database.query<{ attempts: number }>('select attempts from images where id = $1', [
            id,
          ]),
        ([image]) => image!.attempts > 0,
      );
      await sleep(1_000);
      // Between two attempts, too.
      expect(await statuses()).toEqual({ PROCESSING: 1 });
      expect(
        await app.database.query('select 1 from image_variants where image_id = $1', [id]),
      ).toEqual([]);

      await rmdir(join(folder, fileName));
      expect(await eventually(statuses, isOver, 30_000)).toEqual({ COMPLETED: 1 });
      await hurryRemovals(app);
      const files = await eventually(
        () => storedFiles(app, account),
        (names) => names.length === 4,
      );
      const rows = await app.database.query<{ storage_key: string }>(
        'select storage_key from image_variants where image_id = $1',
        [id],
      );
      expect(files.toSorted()).toEqual(rows.map((each) => basename(each.storage_key)).toSorted());
      expect(files).toHaveLength(4);
    },
  );
});
