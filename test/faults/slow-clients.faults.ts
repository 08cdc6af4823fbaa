import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../../src/standalone/free-port.js';
import { FileUrlSigner } from '../../src/storage/signed-url.js';
import { MemoryWatch, residentBytes } from '../../bench/process-usage.js';
import { eventually } from '../eventually.js';
import { ProductProcess } from '../product-process.js';
import { rawRequest } from '../raw-http.js';
import { type Account, TestingApp } from '../testing-app.js';
import { type Load, LoadProcess, type LoadReport } from './load.js';
import { SlowClients, type SlowWay } from './slow-clients.js';

const EACH = 500;
/** Within which every slow client has to be gone. */
const LIMIT_MS = 35_000;
/** How long honest clients are measured alone, before and after. */
const ALONE_MS = 8_000;
const PER_SECOND = 50;
const SLACK_MS = 10_000;
/** What the timing of a few requests on a shared machine is uncertain by, in milliseconds. */
const NOISE_MS = 25;
const LARGE_BYTES = 20_000_000;
const MEBIBYTE = 1024 * 1024;

let app: TestingApp;
let account: Account;
let api: ProductProcess;
let port: number;
let load: LoadProcess;
let slow: SlowClients;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  port = await freePort();
  api = await ProductProcess.start('main', { ...app.variables, PORT: String(port) });
  [load, slow] = await Promise.all([LoadProcess.start(), SlowClients.start()]);
});

afterAll(async () => {
  load.close();
  slow.close();
  await api.kill();
  await app.close();
});

async function store(name: string, bytes: number): Promise<string> {
  const key = `images/someone/1-${name}/large-1.webp`;
  const path = join(app.variables['DATA_DIR'] ?? '', 'files', key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, randomBytes(bytes));
  const { pathname, search } = new URL(app.app.get(FileUrlSigner).url(key, 'never'));
  return pathname + search;
}

/** Uploads of several accounts that wait for their parts, one for each client. */
async function resumableUploads(): Promise<{ path: string; token: string }[]> {
  const uploads: { path: string; token: string }[] = [];
  for (let n = 0; n < EACH / 100; n += 1) {
    const owner = await app.register();
    for (let each = 0; each < 100; each += 1) {
      const { headers } = await app
        .as(owner)
        .post('/api/v1/images/uploads')
        .set({ 'tus-resumable': '1.0.0', 'upload-length': '1000000' })
        .expect(201);
      uploads.push({ path: headers['location'] ?? '', token: owner.token });
    }
  }
  return uploads;
}

function beginning(method: string, path: string, headers: Record<string, string>): string {
  const kept = { connection: 'keep-alive', ...headers };
  return rawRequest(method, path, kept).toString('latin1');
}

function get(path: string): string {
  return beginning('GET', path, {});
}

async function slowWays(): Promise<SlowWay[]> {
  const authorization = `Bearer ${account.token}`;
  const form = 'multipart/form-data; boundary=b';
  const part = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
  const large = await store('large', LARGE_BYTES);
  const length = { 'content-length': '1000000' };
  const all = (name: string, start: string, again = 'x', reads = true): SlowWay => ({
    name,
    starts: Array.from({ length: EACH }, () => Buffer.from(start, 'latin1').toString('base64')),
    again,
    reads,
  });
  const parts = (await resumableUploads()).map(({ path, token }) =>
    beginning('PATCH', path, {
      ...length,
      'content-type': 'application/offset+octet-stream',
      'tus-resumable': '1.0.0',
      'upload-offset': '0',
      authorization: `Bearer ${token}`,
    }),
  );
  const login = { 'content-type': 'application/json', 'content-length': '1000' };
  const upload = { ...length, 'content-type': form, authorization };
  return [
    all('headers', 'GET /health HTTP/1.1\r\nhost: x\r\nx-slow: '),
    all('JSON bodies', beginning('POST', '/api/v1/auth/login', login), ' '),
    all('forms', beginning('POST', '/api/v1/images/upload', upload) + part),
    all(
      'refused bodies',
      beginning('POST', '/api/v1/images/upload', { ...upload, authorization: '' }),
    ),
    {
      ...all('parts of uploads', ''),
      starts: parts.map((start) => Buffer.from(start).toString('base64')),
    },
    // On loopback the kernel takes megabytes of each: more of these, and it has no memory for anyone.
    all('large answers', get(large), '', false),
    all('many answers', get('/problems').repeat(20), '', false),
  ];
}

/** How many sockets a process has open, on Linux. */
function socketsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  const isSocket = (fd: string): boolean => {
    try {
      return readlinkSync(join(folder, fd)).startsWith('socket:');
    } catch {
      return false;
    }
  };
  return readdirSync(folder).filter(isSocket).length;
}

async function measured(honest: Load, work: () => Promise<unknown>): Promise<LoadReport> {
  load.begin(honest);
  await work();
  return load.end();
}

describe('five hundred slow clients of each kind at once', () => {
  it('are gone within 35 seconds, hold little memory, and leave the honest median as it is', async () => {
    const ways = await slowWays();
    const url = `http://127.0.0.1:${port}`;
    const filePath = await store('small', 100_000);
    const honest = { url, perSecond: PER_SECOND, keepAlive: true, token: account.token, filePath };
    // Once for the compiler.
    await measured(honest, () => sleep(3_000));
    const before = await measured(honest, () => sleep(ALONE_MS));
    const socketsBefore = socketsOf(api.pid);
    const memoryBefore = residentBytes(api.pid);
    const memory = new MemoryWatch(() => [api.pid]);
    const sockets = async () => socketsOf(api.pid) - socketsBefore;
    const opening = await measured(honest, () => slow.hold(port, ways));
    const all = ways.length * EACH;
    // Honest connections come and go meanwhile.
    const most = all * 0.95;
    expect(await eventually(sockets, (count) => count > most, LIMIT_MS)).toBeGreaterThan(most);
    const heldAt = performance.now();
    const held = await measured(honest, async () => {
      // The honest ones have connections, too.
      const left = await eventually(sockets, (count) => count < 20, LIMIT_MS + SLACK_MS);
      expect(left).toBeLessThan(20);
    });
    const goneAfter = performance.now() - heldAt;
    const rise = (memory.stop().peakBytes - memoryBefore) / MEBIBYTE;
    const lasted = await slow.end();
    const after = await measured(honest, () => sleep(ALONE_MS));

    expect(goneAfter).toBeLessThan(LIMIT_MS);
    for (const [name, { opened, closed, longest }] of Object.entries(lasted)) {
      expect({ name, opened }).toEqual({ name, opened: EACH });
      // Whoever does not read does not hear of it: those are counted where they were held.
      if (name.includes('answers')) continue;
      expect({ name, closed }).toEqual({ name, closed: EACH });
      expect(longest).toBeLessThan(LIMIT_MS);
    }
    // Of the large answers alone there are ten gigabytes.
    expect(rise).toBeLessThan(600);
    for (const { dropped } of [before, opening, held, after]) expect(dropped).toEqual({});
    const alone = Math.max(before.p50, after.p50);
    expect(held.p50).toBeLessThan(2 * alone + NOISE_MS);
  }, 180_000);
});
