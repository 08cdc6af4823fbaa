import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MemoryWatch, residentBytes } from '../../bench/process-usage.js';
import { eventually } from '../eventually.js';
import { ProductProcess } from '../product-process.js';
import { rawRequest } from '../raw-http.js';
import { writeServedFile } from '../served-file.js';
import { type Account, TestingApp } from '../testing-app.js';
import { type Load, LoadProcess, type LoadReport } from './load.js';
import { SlowClients, type SlowWay } from './slow-clients.js';

/** Where slow clients come from; the honest are at 127.0.0.1. */
const SLOW_ADDRESS = '127.0.0.2';
const EACH = 500;
/** How many slow readers of each kind ask for what is large, and how many send empty lines. */
const FEW = 50;
/** Within which every slow client has to be gone. */
const LIMIT_MS = 35_000;
/** How long honest clients are measured alone, before and after. */
const ALONE_MS = 6_000;
const PER_SECOND = 150;
/** What the slowest percent on a shared machine is uncertain by, in milliseconds. */
const NOISE_MS = 15;
/** The same while the slow ones come, in milliseconds: 250 a second with all that they ask for. */
const OPENING_MS = 1_000;
const LARGE_BYTES = 20_000_000;
const MEBIBYTE = 1024 * 1024;
/** So many a second that the kernel has what it takes of each, 4 MB, before many more come. */
const LARGE_PER_SECOND = 25;
/** Of nearly all kernels. */
const PAGE_BYTES = 4096;

let app: TestingApp;
let account: Account;
let api: ProductProcess;
let url: string;
let port: number;
let load: LoadProcess;
let slow: SlowClients;
/** The paths of files. */
let small: string;
let large: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  // All are to be held until their time is over: at the defaults, most uploads are refused before.
  const places = { UPLOADS_AT_ONCE: '5000', UPLOADS_PER_ACCOUNT: '5000' };
  ({ api, url } = await ProductProcess.startApi({ ...app.variables, ...places }));
  port = Number(new URL(url).port);
  small = await writeServedFile(app, 'small', 100_000);
  large = await writeServedFile(app, 'large', LARGE_BYTES);
  [load, slow] = await Promise.all([LoadProcess.start(), SlowClients.start()]);
});

afterAll(async () => {
  load.close();
  slow.close();
  await api.kill();
  await app.close();
});

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

async function slowWays(large: string): Promise<SlowWay[]> {
  const authorization = `Bearer ${account.token}`;
  const form = 'multipart/form-data; boundary=b';
  const part = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
  const length = { 'content-length': '1000000' };
  const some = (count: number, way: Omit<SlowWay, 'starts'>, start: string): SlowWay => ({
    ...way,
    starts: Array.from({ length: count }, () => Buffer.from(start, 'latin1').toString('base64')),
  });
  const all = (name: string, start: string, again = 'x'): SlowWay =>
    some(EACH, { name, again, reads: 'all' }, start);
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
    ...readers(EACH, FEW, await writeServedFile(app, 'middle', 200_000), large),
    some(EACH, { name: 'many answers', again: '', reads: 'nothing' }, get('/problems').repeat(20)),
    some(
      FEW,
      { name: 'empty lines behind an answer', again: '\r\n', reads: 'all' },
      get('/health'),
    ),
  ];
}

/** Readers in both ways, so many of each, some of which ask for what is large. */
function readers(count: number, ofLarge: number, middle: string, large: string): SlowWay[] {
  return (['nothing', 'drops'] as const).map((reads) => ({
    name: `answers of which they read ${reads}`,
    starts: Array.from({ length: count }, (_, n) =>
      Buffer.from(get(n < ofLarge ? large : middle)).toString('base64'),
    ),
    again: '',
    reads,
  }));
}

/**
 * How many large answers that nobody reads the kernel holds, which keeps up to the last of `tcp_wmem`
 * in bytes for each, before it has its sockets fight for memory, at the first of `tcp_mem` in pages
 * (tcp(7)). Beyond that, bytes that were sent long ago are taken in late, and nobody is slow before.
 */
function roomForLarge(): number {
  const [pages = 0] = kernelNumbers('tcp_mem');
  const bytes = kernelNumbers('tcp_wmem').at(-1) ?? Infinity;
  return 2 * Math.floor((pages * PAGE_BYTES) / bytes / 2);
}

function kernelNumbers(name: string): number[] {
  return readFileSync(`/proc/sys/net/ipv4/${name}`, 'latin1').trim().split(/\s+/).map(Number);
}

/** An IPv4 address as the kernel lists it on a machine with the usual order of bytes. */
function listed(address: string): string {
  const bytes = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return bytes.reverse().join('').toUpperCase();
}

/** How many connections of slow clients the product has open, on Linux. */
function slowConnections(): number {
  const own = `${listed('127.0.0.1')}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // The kernel repeats rows when others come and go while they are read.
  const remotes = new Set<string>();
  for (const row of readFileSync('/proc/net/tcp', 'latin1').split('\n')) {
    const [, local, remote = '', , , , , , , inode] = row.trim().split(/ +/);
    const isSlow = local === own && remote.startsWith(listed(SLOW_ADDRESS));
    // What its process has closed has no inode any more.
    if (isSlow && inode !== '0') remotes.add(remote);
  }
  return remotes.size;
}

async function measured(honest: Load, work: () => Promise<unknown>): Promise<LoadReport> {
  load.begin(honest);
  await work();
  return load.end();
}

/** Counts the slow connections, not too often: the product feels it. */
class ConnectionWatch {
  readonly looks: { at: number; count: number }[] = [];
  private readonly timer = setInterval(() => {
    this.looks.push({ at: Date.now(), count: slowConnections() });
  }, 1_000);

  /** Waits until there are as many as there should be. @returns how many there were in the end */
  async until(isRight: (count: number) => boolean, patienceMs: number): Promise<number> {
    const last = async () => this.looks.at(-1)?.count ?? 0;
    return eventually(last, isRight, patienceMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}

function honest(): Load {
  return { url, perSecond: PER_SECOND, keepAlive: true, token: account.token, filePath: small };
}

/** Opens slow connections and waits until they are gone, while honest clients go on. */
async function attack(ways: SlowWay[], perSecond: number) {
  const before = await measured(honest(), () => sleep(ALONE_MS));
  const memoryBefore = residentBytes(api.pid);
  const memory = new MemoryWatch(() => [api.pid]);
  const watch = new ConnectionWatch();
  const slowClients = { port, localAddress: SLOW_ADDRESS, ways, perSecond };
  const opening = await measured(honest(), () => slow.hold(slowClients));
  const all = ways.reduce((sum, { starts }) => sum + starts.length, 0);
  expect(await watch.until((count) => count >= all, 3_000)).toBeGreaterThanOrEqual(all);
  const held = await measured(honest(), () => watch.until((count) => count === 0, 2 * LIMIT_MS));
  watch.stop();
  const rise = (memory.stop().peakBytes - memoryBefore) / MEBIBYTE;
  const lasted = await slow.end();
  for (const { dropped } of [opening, held]) expect(dropped).toEqual({});
  for (const { at, count } of watch.looks) {
    const young = lasted.openedAt.filter((opened) => opened > at - LIMIT_MS).length;
    expect(count).toBeLessThanOrEqual(young);
  }
  const after = await measured(honest(), () => sleep(ALONE_MS));
  const alone = Math.max(before.p99, after.p99);
  // Of what is left out for the machine's sake, there must not be much.
  for (const { timed, sent } of [opening, held]) expect(timed).toBeGreaterThan(0.8 * sent);
  expect(held.sent).toBeGreaterThan(2_000);
  expect(held.p99).toBeLessThan(2 * alone + NOISE_MS);
  expect(opening.p99).toBeLessThan(OPENING_MS);
  // The slow ones ask for a gigabyte and more.
  expect(rise).toBeLessThan(600);
  return lasted.ways;
}

describe('five hundred slow clients of each kind at once', () => {
  it('are gone within 35 seconds, and at most double the honest p99', async () => {
    const ways = await slowWays(large);
    // Once for the compiler.
    await measured(honest(), () => sleep(4_000));
    const lasted = await attack(ways, 250);

    for (const { name, reads, starts } of ways) {
      const { closed, longest } = lasted[name]!;
      if (reads !== 'all') continue;
      expect({ name, closed }).toEqual({ name, closed: starts.length });
      expect(longest).toBeLessThan(LIMIT_MS);
    }
  }, 180_000);

  it('are the same when all ask for what is large', async () => {
    const each = Math.min(EACH, roomForLarge()) / 2;
    await attack(readers(each, each, large, large), LARGE_PER_SECOND);
  }, 180_000);
});
