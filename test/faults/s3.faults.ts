import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Unavailable } from '../../src/core/problems/unavailable.js';
import { Storage } from '../../src/storage/storage.js';
import { eventually } from '../eventually.js';
import { makePicture } from '../pictures.js';
import { S3Server } from '../s3/s3-server.js';
import { type Account, TestingApp } from '../testing-app.js';

let store: S3Server;
let app: TestingApp;
let owner: Account;
let picture: Buffer;

beforeAll(async () => {
  store = await S3Server.start();
  app = await TestingApp.start({ worker: false, variables: store.variables });
  owner = await app.register();
  picture = await makePicture({ width: 2600, height: 1800 });
});

afterEach(async () => {
  store.faults.clear();
  await app.worker?.stop();
});

afterAll(async () => {
  await app.close();
  await store.close();
});

function upload() {
  return app.as(owner).post('/api/v1/images/upload?force=true').attach('image', picture, 'x');
}

async function imageOf(id: string) {
  return (await app.as(owner).get(`/api/v1/images/${id}`)).body;
}

function unfinished(): number {
  return store.bucket.uploads.size;
}

describe('a store that fails while a picture is made', () => {
  it.each([
    ['by breaking downloads off', { on: 'GetObject', cutAnswerAfter: 1_000, times: 12 } as const],
    ['by refusing what was made', { on: 'PutObject', fail: 'InternalError', times: 10 } as const],
    ['by losing its answers', { on: 'PutObject', loseAnswer: true, times: 10 } as const],
    ['by not answering', { on: 'GetObject', hang: true, times: 2 } as const],
  ])('%s has it tried again, and not called damaged', async (_name, fault) => {
    const { body } = await upload();
    store.faults.add(fault);
    await app.startWorker();
    const image = await eventually(
      () => imageOf(body.id),
      ({ status }) => status === 'COMPLETED' || status === 'FAILED',
      90_000,
    );
    expect([image.status, image.error]).toEqual(['COMPLETED', null]);
    expect(unfinished()).toBe(0);
  });

  it('does not lose a picture when its worker is killed', async () => {
    const { body } = await upload();
    store.faults.add({ on: 'PutObject', delayMs: 3_000, times: 4 });
    const worker = await app.startWorker();
    const before = store.count('PutObject');
    await eventually(
      async () => store.count('PutObject'),
      (count) => count > before,
    );
    await worker.kill();
    await app.startWorker();
    const image = await eventually(
      () => imageOf(body.id),
      ({ status }) => status === 'COMPLETED',
      60_000,
    );
    expect(image.status).toBe('COMPLETED');
  });
});

describe('a store that never answers', () => {
  it('keeps nobody waiting', async () => {
    store.faults.add({ hang: true });
    const storage = app.app.get(Storage);
    const key = 'images/a/1-b/large.webp';
    const began = Date.now();
    const calls = [
      () => storage.head(key),
      () => storage.get(key),
      () => storage.delete(key),
      () => Readable.from(storage.listAll()).toArray(),
    ];
    await Promise.all(calls.map((call) => expect(call()).rejects.toThrow(Unavailable)));
    expect(Date.now() - began).toBeLessThan(20_000);
  });
});

describe('an upload to a store that stands still', () => {
  it('is answered 503 before its client is blamed for it', async () => {
    store.faults.add({ on: 'PutObject', hang: true });
    const began = Date.now();
    const answer = await upload();
    expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
    expect(Date.now() - began).toBeLessThan(30_000);
  });
});
