import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryWatch, residentBytes } from '../../bench/process-usage.js';
import { eventually } from '../eventually.js';
import { makePicture } from '../pictures.js';
import { uploadTo } from '../product-requests.js';
import { ProductProcess } from '../product-process.js';
import { rawRequest } from '../raw-http.js';
import { S3Server } from '../s3/s3-server.js';
import { type Account, TestingApp } from '../testing-app.js';
import { SlowClients } from './slow-clients.js';

const MEBIBYTE = 1024 * 1024;
/** All but a little of what a store takes as a part. */
const SENT_BYTES = 5 * MEBIBYTE - 4 * 1024;
const ANNOUNCED_BYTES = 19 * MEBIBYTE;
/** For how long uploads of honest clients are looked at, and how long one may take. */
const HONEST_MS = 12_000;
const SOON_MS = 5_000;
/**
 * Slow enough that the kernel can keep what is on its way; beyond `net.ipv4.tcp_mem` it drops packets,
 * and connections seem to hang for as long as their clients pause before they send again.
 */
const PER_SECOND = 100;
const IDLE_MS = 10_000;
/** Within which all that stand still are gone: they may wait 20 s, send nothing, be drained for 5. */
const GONE_MS = 27_000 + IDLE_MS;
/**
 * What the API may take more, in bytes: UPLOAD_MEMORY_MB (128), as much again that waits to be
 * collected, and some 100 kB for each connection.
 */
const riseFor = (connections: number): number => 256 * MEBIBYTE + connections * 100_000;

let store: S3Server;
let app: TestingApp;
let api: ProductProcess;
let attackers: SlowClients;
let port: number;
let url: string;
let honest: Account;
let picture: Buffer;
let large: Buffer;

beforeAll(async () => {
  store = await S3Server.start();
  app = await TestingApp.start({
    worker: false,
    variables: { ...store.variables, UPLOAD_IDLE_TIMEOUT_MS: String(IDLE_MS) },
  });
  honest = await app.register();
  picture = await makePicture({ width: 800, height: 600 });
  // Noise, so that it is as large as a picture can be.
  large = await makePicture({ width: 3_000, height: 2_000, format: 'png' });
  expect(large.length).toBeGreaterThan(SENT_BYTES);
  attackers = await SlowClients.start();
});

/** Each attack meets a process that has not grown yet. */
beforeEach(async () => {
  ({ api, url } = await ProductProcess.startApi(app.variables));
  port = Number(new URL(url).port);
  // Once for the compiler.
  for (let n = 0; n < 20; n += 1) await uploadTo(url, honest.token, picture);
});

afterEach(() => api.kill());

afterAll(async () => {
  attackers.close();
  await app.close();
  await store.close();
});

function formOf({ token }: Account): string {
  const headers = {
    connection: 'keep-alive',
    authorization: `Bearer ${token}`,
    'content-type': 'multipart/form-data; boundary=b',
    'content-length': String(ANNOUNCED_BYTES),
  };
  const part = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
  const head = rawRequest('POST', '/api/v1/images/upload?force=true', headers);
  return Buffer.concat([head, Buffer.from(part)]).toString('base64');
}

/** As many parts of resumable uploads as one account may begin. */
async function partsOf(owner: Account, count: number): Promise<string[]> {
  const signedIn = { authorization: `Bearer ${owner.token}`, 'tus-resumable': '1.0.0' };
  const starts: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const { headers } = await fetch(`${url}/api/v1/images/uploads`, {
      method: 'POST',
      headers: { ...signedIn, 'upload-length': String(ANNOUNCED_BYTES) },
    });
    const head = rawRequest('PATCH', headers.get('location') ?? '', {
      ...signedIn,
      connection: 'keep-alive',
      'content-type': 'application/offset+octet-stream',
      'upload-offset': '0',
      'content-length': String(ANNOUNCED_BYTES),
    });
    starts.push(head.toString('base64'));
  }
  return starts;
}

/** Uploads again and again. @returns how long each took, in milliseconds */
async function uploadHonestly(): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + HONEST_MS;
  while (performance.now() < end) {
    const from = performance.now();
    const { status } = await uploadTo(url, honest.token, picture);
    expect(status).toBe(202);
    times.push(performance.now() - from);
    await sleep(200);
  }
  return times;
}

/** Holds uploads that send a good beginning and nothing more, while others upload. */
async function attack(starts: string[], bytes: number): Promise<void> {
  const before = residentBytes(api.pid);
  const memory = new MemoryWatch(() => [api.pid]);
  const rest = large.subarray(0, bytes).toString('base64');
  const way = { name: 'uploads', starts, rest, again: '', reads: 'all' } as const;
  const [times] = await Promise.all([
    uploadHonestly(),
    attackers.hold({ port, localAddress: '127.0.0.2', ways: [way], perSecond: PER_SECOND }),
  ]);
  const { peakBytes } = memory.stop();
  await sleep(GONE_MS);
  const { ways } = await attackers.end();

  expect(peakBytes - before).toBeLessThan(riseFor(starts.length));
  expect(times.length).toBeGreaterThan(5);
  expect(Math.max(...times)).toBeLessThan(SOON_MS);
  expect(ways['uploads']).toMatchObject({ opened: starts.length, closed: starts.length });
}

/** What uploads leave that come to nothing. */
async function leftovers(): Promise<string[]> {
  const folder = join(app.variables['DATA_DIR'] ?? '', 'work');
  const images = await app.database.query<{ storage_key: string }>(
    'select storage_key from images',
  );
  const known = new Set(images.map(({ storage_key }) => storage_key));
  return [
    ...[...store.bucket.uploads.values()].map(({ key }) => key),
    ...store.bucket.keys('images/').filter((key) => !known.has(key)),
    ...(await readdir(folder).catch(() => [])),
  ];
}

describe('uploads of one account that stand still before their first part is whole', () => {
  it('take little memory: a thousand forms', async () => {
    const start = formOf(await app.register());
    await attack(
      Array.from({ length: 1_000 }, () => start),
      SENT_BYTES,
    );
    expect(await eventually(leftovers, (names) => names.length === 0)).toEqual([]);
  });

  it('take little memory: a hundred parts of resumable uploads', async () => {
    await attack(await partsOf(await app.register(), 100), 4 * MEBIBYTE - 4_096);
    expect(await eventually(leftovers, (names) => names.length === 0)).toEqual([]);
  });
});
