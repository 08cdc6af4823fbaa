import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { DiskStorage } from '../src/storage/disk/disk.storage.js';
import { FileUrlSigner } from '../src/storage/signed-url.js';
import { eventually } from './eventually.js';
import { ProductProcess } from './product-process.js';
import { S3Server } from './s3/s3-server.js';

const FILES = 40;

let store: S3Server;
let dataDir: string;
let disk: DiskStorage;
let files: Map<string, Buffer>;

beforeAll(async () => {
  store = await S3Server.start({ pageSize: 7 });
});

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-migrate-'));
  const urls = { APP_SECRET: 'x'.repeat(32), PUBLIC_URL: 'http://localhost' };
  disk = new DiskStorage({ DATA_DIR: dataDir }, new FileUrlSigner(urls));
  await disk.onModuleInit();
  files = new Map();
  for (let each = 0; each < FILES; each += 1) await addFile();
});

afterEach(async () => {
  store.faults.clear();
  store.bucket.objects.clear();
  store.asked.length = 0;
  await rm(dataDir, { recursive: true });
});

afterAll(() => store.close());

async function addFile(): Promise<string> {
  const key = `images/${newId()}/1-${newId()}/large.webp`;
  files.set(key, randomBytes(20_000 + files.size));
  await disk.uploadBuffer(key, files.get(key)!);
  return key;
}

function start(...flags: string[]): ProductProcess {
  const { PATH = '' } = process.env;
  const variables = { PATH, DATA_DIR: dataDir, ...store.variables };
  return ProductProcess.spawn('storage-migrate', variables, flags);
}

async function migrate(...flags: string[]) {
  const child = start(...flags);
  return { code: await child.ended(), output: child.output };
}

function expectAllThere(): void {
  expect(store.bucket.keys('')).toEqual([...files.keys()].toSorted());
  for (const [key, content] of files) expect(store.bucket.get(key).body.equals(content)).toBe(true);
}

/** A copy with one bit of it turned. */
function damage(key: string): void {
  const object = store.bucket.get(key);
  object.body = Buffer.from(object.body);
  object.body[7]! ^= 1;
}

describe('npm run storage:migrate', () => {
  it('copies every file, reads each back, and does so once', async () => {
    const { code, output } = await migrate();
    expect([code, output]).toEqual([0, expect.stringMatching(/ 40 files, .* MB: copied\n/)]);
    expectAllThere();
    expect(store.count('GetObject')).toBe(FILES);
    const [key = ''] = files.keys();
    expect(store.bucket.get(key).headers).toMatchObject({ 'content-type': 'image/webp' });

    store.asked.length = 0;
    const again = await migrate();
    expect([again.code, again.output]).toEqual([
      0,
      expect.stringMatching(/ 40 files, .* MB: there since an earlier run\n/),
    ]);
    expect(store.count('PutObject') + store.count('GetObject')).toBe(0);
  });

  it('goes on after it was killed, and sends little twice', async () => {
    store.faults.add({ on: 'PutObject', delayMs: 60 });
    const killed = start();
    await eventually(
      async () => store.bucket.objects.size,
      (stored) => stored >= 12,
    );
    await killed.kill();
    expect(store.bucket.objects.size).toBeLessThan(FILES);

    store.faults.clear();
    expect(await migrate()).toMatchObject({ code: 0 });
    expectAllThere();
    expect(store.count('PutObject')).toBeLessThan(FILES + 10);
  });

  it('stops in order however often it is asked to: npm repeats what a terminal says', async () => {
    store.faults.add({ on: 'PutObject', delayMs: 500 });
    const asked = start();
    await eventually(
      async () => store.count('PutObject'),
      (begun) => begun > 0,
    );
    while (asked.isRunning) {
      asked.signal('SIGINT');
      await sleep(1);
    }
    expect([await asked.ended(), asked.output]).toEqual([
      2,
      expect.stringContaining('Stopped before the end.'),
    ]);
    expect(store.bucket.objects.size).toBeLessThan(FILES);
  });

  it('knows its flags, and no others', async () => {
    expect(await migrate('--agian')).toEqual({
      code: 2,
      output: expect.stringContaining('Usage: npm run storage:migrate -- [--again | --verify]'),
    });
  });

  it('takes what came meanwhile, and does not mind what went', async () => {
    await migrate();
    const [gone = ''] = files.keys();
    const added = await addFile();
    await disk.delete(gone);

    const { code, output } = await migrate();
    expect([code, output]).toEqual([0, expect.stringMatching(/ 1 files, .* MB: copied\n/)]);
    expect(store.bucket.get(added).body.equals(files.get(added)!)).toBe(true);
    // It deletes nothing.
    expect(store.bucket.objects.has(gone)).toBe(true);
  });

  it('finds copies that are lost or damaged, and mends them', async () => {
    await migrate();
    const [lost = '', damaged = '', shorter = ''] = files.keys();
    store.bucket.objects.delete(lost);
    damage(damaged);
    store.bucket.put(shorter, Buffer.from('x'), {});
    store.asked.length = 0;

    const found = await migrate('--verify');
    expect(found.code).toBe(1);
    expect(found.output).toContain(`missing   ${lost}`);
    for (const key of [damaged, shorter]) expect(found.output).toContain(`different ${key}`);
    expect(found.output).toContain('npm run storage:migrate -- --again');
    expect(store.count('PutObject')).toBe(0);

    const mended = await migrate('--again');
    expect([mended.code, mended.output]).toEqual([
      0,
      expect.stringContaining(`mended    ${damaged}`),
    ]);
    expectAllThere();
    expect(await migrate('--verify')).toMatchObject({ code: 0 });
  });

  it('does not take for known what it has found to be different since', async () => {
    await migrate();
    const [damaged = ''] = files.keys();
    damage(damaged);
    expect(await migrate('--verify')).toMatchObject({ code: 1 });
    const { code, output } = await migrate();
    expect([code, output]).toEqual([0, expect.stringContaining(`mended    ${damaged}`)]);
    expectAllThere();
    store.asked.length = 0;
    expect(await migrate()).toMatchObject({ code: 0 });
    expect(store.count('GetObject')).toBe(0);
  });

  it('says what it could not copy, and nothing of addresses and keys', async () => {
    store.faults.add({ on: 'PutObject', fail: 'AccessDenied', times: 3 });
    const { code, output } = await migrate();
    expect(code).toBe(1);
    expect(output.match(/^failed .*AccessDenied, 403\)$/gm)).toHaveLength(3);
    // What is not there is copied by any run; nothing needs to be read again.
    expect(output).toMatch(/Run it again\.\n$/);
    expect(output).not.toMatch(/127\.0\.0\.1|AKIA/);
    expect(await migrate()).toMatchObject({ code: 0 });
    expectAllThere();
  });

  it('is not fooled by a store that keeps something else than it was sent', async () => {
    store.faults.add({ on: 'PutObject', garble: true, times: 2 });
    const { code, output } = await migrate();
    expect(code).toBe(1);
    expect(output.match(/^different /gm)).toHaveLength(2);
    expect(await migrate()).toMatchObject({ code: 0 });
    expectAllThere();
  });

  it('ends with 2 when nobody reads what it says', async () => {
    await migrate();
    for (const key of [...files.keys()].slice(0, 3)) damage(key);
    const child = start('--verify');
    child.stopReading();
    expect([await child.ended(), child.output]).toEqual([
      2,
      'Stopped before the end: nobody reads the report.\n',
    ]);
  });

  it('finds the keys that the machine has, when it is given none', async () => {
    const { PATH = '' } = process.env;
    const { S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, ...variables } = store.variables;
    const machine = {
      AWS_ACCESS_KEY_ID: S3_ACCESS_KEY_ID!,
      AWS_SECRET_ACCESS_KEY: S3_SECRET_ACCESS_KEY!,
    };
    const all = { PATH, DATA_DIR: dataDir, ...variables, ...machine };
    expect(await ProductProcess.spawn('storage-migrate', all).ended()).toBe(0);
    expectAllThere();
  });

  it('needs a bucket that answers, and files', async () => {
    for (const [variables, message] of [
      [{ S3_BUCKET: 'elsewhere' }, 'The bucket cannot be used.'],
      [{ DATA_DIR: join(dataDir, 'nothing') }, 'There are no files'],
      [{ S3_BUCKET: '' }, 'S3_BUCKET is required'],
    ] as const) {
      const { PATH = '' } = process.env;
      const all = { PATH, DATA_DIR: dataDir, ...store.variables, ...variables };
      const child = ProductProcess.spawn('storage-migrate', all);
      expect(await child.ended()).toBe(2);
      expect(child.output).toContain(message);
    }
  });
});
