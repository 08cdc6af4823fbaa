import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Metrics } from '../core/metrics/metrics.js';
import { malformed, Problem } from '../core/problems/problem.js';
import { DiskStorage } from './disk/disk.storage.js';
import { MeasuredStorage } from './measured.storage.js';
import { FileUrlSigner } from './signed-url.js';
import { Storage } from './storage.js';
import { StorageMetrics } from './storage-metrics.js';

const USER = '0196f000-0000-7000-8000-000000000001';
const KEY = `images/${USER}/1700000000000-0196f000-0000-7000-8000-000000000002/large-1.webp`;

const signer = new FileUrlSigner({
  APP_SECRET: 'x'.repeat(32),
  PUBLIC_URL: 'http://localhost',
});

let folder: string;
let metrics: Metrics;
let storage: MeasuredStorage;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'measured-'));
  metrics = new Metrics();
  const disk = new DiskStorage({ DATA_DIR: folder }, signer);
  await disk.onModuleInit();
  storage = new MeasuredStorage(disk, new StorageMetrics(metrics));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** What was counted, as `operation outcome`, each with how often. */
async function counted(): Promise<Record<string, number>> {
  const pattern =
    /^atelier_storage_duration_seconds_count\{driver="disk",operation="(\w+)",outcome="(\w+)"\} (\d+)$/gm;
  const matches = [...(await metrics.text()).matchAll(pattern)];
  return Object.fromEntries(
    matches.map(([, operation, outcome, times]) => [`${operation} ${outcome}`, Number(times)]),
  );
}

async function bytes(direction: 'read' | 'written'): Promise<number> {
  const text = await metrics.text();
  const pattern = new RegExp(`^atelier_storage_bytes_total\\{.*"${direction}"\\} (\\d+)$`, 'm');
  return Number(pattern.exec(text)?.[1] ?? 0);
}

describe('A measured storage', () => {
  it('hands on every method, also those that the base class has a body for', () => {
    const inherited = Object.getOwnPropertyNames(Storage.prototype);
    const handedOn = Object.getOwnPropertyNames(MeasuredStorage.prototype);
    expect(inherited.filter((name) => !handedOn.includes(name))).toEqual([]);
  });

  it('counts calls by how they end, and the bytes that were moved', async () => {
    await storage.upload(KEY, Readable.from([Buffer.alloc(1_000)]));
    await storage.uploadBuffer(KEY.replace('large', 'medium'), Buffer.alloc(500));
    await writeFile(join(folder, 'made'), Buffer.alloc(250));
    await storage.uploadFile(KEY.replace('large', 'thumbnail'), join(folder, 'made'));
    await storage.head(KEY);
    await buffer((await storage.get(KEY)).stream);
    await buffer((await storage.get(KEY, { range: { start: 10, end: 19 } })).stream);
    await storage.download(KEY, join(folder, 'copy'));
    await storage.check();
    const listed = [];
    for await (const { key } of storage.list(USER)) listed.push(key);
    expect(listed.length).toBe(3);
    await storage.delete(KEY);
    await expect(storage.get(KEY)).rejects.toThrow('Nothing is stored');

    expect(await counted()).toEqual({
      'upload completed': 1,
      'upload_buffer completed': 1,
      'upload_file completed': 1,
      'head completed': 1,
      'get completed': 2,
      'read completed': 2,
      'download completed': 1,
      'check completed': 1,
      'list completed': 1,
      'delete completed': 1,
      'get not_found': 1,
    });
    expect([await bytes('written'), await bytes('read')]).toEqual([1_750, 2_010]);
  });

  it('lets a download succeed whose file is gone before it is counted', async () => {
    class Hurried extends DiskStorage {
      override async download(key: string, path: string): Promise<void> {
        await super.download(key, path);
        await rm(path);
      }
    }
    const disk = new Hurried({ DATA_DIR: folder }, signer);
    await disk.onModuleInit();
    metrics = new Metrics();
    storage = new MeasuredStorage(disk, new StorageMetrics(metrics));
    await storage.uploadBuffer(KEY, Buffer.alloc(500));
    await storage.download(KEY, join(folder, 'copy'));
    expect(await counted()).toMatchObject({ 'download completed': 1 });
  });

  it.each([-5, NaN, Infinity])('counts no %d bytes, and nobody falls over them', async (count) => {
    metrics = new Metrics();
    const measured = new StorageMetrics(metrics);
    expect(() => {
      measured.moved('disk', 'read', count);
    }).not.toThrow();
    expect(await bytes('read')).toBe(0);
  });

  it('blames its callers for what they break off, and the store for its own failures', async () => {
    const refused = new Readable({ read: () => undefined });
    const storing = storage.upload(KEY, refused);
    refused.destroy(new Problem(malformed));
    await expect(storing).rejects.toThrow(Problem);

    await storage.upload(KEY, Readable.from([Buffer.alloc(1_000_000)]));
    const { stream } = await storage.get(KEY);
    stream.once('data', () => stream.destroy());
    await new Promise((resolve) => stream.once('close', resolve));
    for await (const { key } of storage.list(USER)) {
      expect(key).toBe(KEY);
      break;
    }
    await rm(join(folder, 'files'), { recursive: true });
    await expect(storage.check()).rejects.toThrow();

    expect(await counted()).toMatchObject({
      'upload aborted': 1,
      'read aborted': 1,
      'list aborted': 1,
      'check failed': 1,
    });
    expect(await bytes('read')).toBeGreaterThan(0);
    expect(await bytes('read')).toBeLessThan(1_000_000);
  });
});
