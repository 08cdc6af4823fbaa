import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CannotStart } from './core/process/cannot-start.js';
import { onStopSignal } from './core/process/stop-signals.js';
import { onUnreadReport, runTool } from './core/process/tool.js';
import { type Env, readOfflineEnv } from './core/env.js';
import { DiskStorage } from './storage/disk/disk.storage.js';
import { MigrationRecord } from './storage/migration/migration-record.js';
import { MigrationTally } from './storage/migration/migration-tally.js';
import { S3Storage } from './storage/s3/s3.storage.js';
import { FileUrlSigner } from './storage/signed-url.js';
import { StorageMigration } from './storage/migration/storage-migration.js';

/**
 * `npm run storage:migrate [-- --again | --verify]`: copies the files of DATA_DIR to the bucket that
 * the S3 variables name, and compares each by its SHA-256.
 *
 * Exit code 0 when every file is there as it is here, 1 when not, 2 when it could not be told.
 */

const USAGE = 'npm run storage:migrate -- [--again | --verify]';
const NOT_ALL_THERE = 1;
const RECORD = 'storage-migration.jsonl';
const PROGRESS_MS = 2_000;

runTool(USAGE, { again: 'flag', verify: 'flag' }, async (flags) => {
  const env = readOfflineEnv();
  const { from, to, target } = await openStores(env);
  const record = await MigrationRecord.open(join(env.DATA_DIR, RECORD), target);
  const stop = new AbortController();
  onStopSignal(() => {
    stop.abort(new CannotStart('Stopped before the end. Run it again to go on.'));
  });
  onUnreadReport(() => {
    stop.abort(new CannotStart('Stopped before the end: nobody reads the report.'));
  });
  const tally = new MigrationTally();
  const progress = setInterval(() => {
    print(tally.progress());
  }, PROGRESS_MS);
  try {
    const report = tally.add.bind(tally, print);
    await new StorageMigration(from, to, record).run({ ...flags, signal: stop.signal, report });
  } finally {
    clearInterval(progress);
    await record.close();
    to.onApplicationShutdown();
  }
  print(tally.summary());
  if (!tally.isAllThere) process.exitCode ??= NOT_ALL_THERE;
});

/** @throws CannotStart when there are no files here, or no bucket there */
async function openStores(env: Env) {
  const { S3_BUCKET, S3_ENDPOINT = 'aws' } = env;
  if (S3_BUCKET === undefined) {
    throw new CannotStart('S3_BUCKET is not set: it names where the files are to go.');
  }
  if (!statSync(resolve(env.DATA_DIR, 'files'), { throwIfNoEntry: false })) {
    throw new CannotStart(`There are no files in DATA_DIR ${resolve(env.DATA_DIR)}.`);
  }
  const urls = new FileUrlSigner(env);
  const from = new DiskStorage(env, urls);
  await from.onModuleInit();
  const to = new S3Storage({ ...env, S3_BUCKET }, urls);
  await to.check().catch((error: unknown) => {
    throw new CannotStart(`The bucket cannot be used. ${(error as Error).message}`);
  });
  return { from, to, target: `${S3_ENDPOINT}/${S3_BUCKET}` };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
