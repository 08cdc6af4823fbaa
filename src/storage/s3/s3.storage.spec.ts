import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../test/eventually.js';
import { S3Server } from '../../../test/s3/s3-server.js';
import { describeStorage } from '../../../test/storage-suite.js';
import { offlineEnv } from '../../core/env.js';
import { newId } from '../../core/ids.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { asFault, within } from './s3-client.js';
import { S3Storage } from './s3.storage.js';
import { FileUrlSigner } from '../signed-url.js';
import { ObjectNotFound, type Storage } from '../storage.js';

const urls = new FileUrlSigner({
  APP_SECRET: randomBytes(48).toString('base64'),
  PUBLIC_URL: 'http://localhost:3000',
});

/** Where parts wait. */
const dataDir = mkdtempSync(join(tmpdir(), 'atelier-s3-data-'));

afterAll(() => rm(dataDir, { recursive: true }));

function openStorage(server: S3Server, variables: Record<string, string> = {}): S3Storage {
  const env = offlineEnv({ DATA_DIR: dataDir, ...server.variables, ...variables });
  return new S3Storage({ ...env, S3_BUCKET: server.bucketName }, urls);
}

describeStorage('s3', async () => {
  const server = await S3Server.start({ pageSize: 3 });
  const storage = openStorage(server);
  return {
    storage,
    leftovers: async () => [
      ...[...server.bucket.uploads.values()].map(({ key }) => `unfinished ${key}`),
      ...[...server.bucket.objects.keys()].filter((key) => !/^(images|elsewhere)\//.test(key)),
    ],
    close: async () => {
      storage.onApplicationShutdown();
      await server.close();
    },
  };
});

describe('the s3 driver', () => {
  const MEBIBYTE = 1024 * 1024;
  let server: S3Server;
  let storage: S3Storage;

  beforeAll(async () => {
    server = await S3Server.start({ pageSize: 2 });
    storage = openStorage(server);
  });
  afterAll(async () => {
    storage.onApplicationShutdown();
    await server.close();
  });
  afterEach(() => {
    server.faults.clear();
    server.asked.length = 0;
  });

  function newKey(): string {
    return `images/${newId()}/1-${newId()}/large.webp`;
  }

  async function store(content: Buffer, key = newKey()): Promise<string> {
    await storage.uploadBuffer(key, content);
    return key;
  }

  function unfinished(): string[] {
    return [...server.bucket.uploads.values()].map(({ key }) => key);
  }

  async function read(from: Storage, key: string): Promise<Buffer> {
    return buffer((await from.get(key)).stream);
  }

  describe('an upload', () => {
    it('of many bytes goes in parts, and comes back as it was', async () => {
      const content = randomBytes(11 * MEBIBYTE + 1);
      const key = newKey();
      const chunks = [content.subarray(0, 7 * MEBIBYTE), content.subarray(7 * MEBIBYTE)];
      expect(await storage.upload(key, Readable.from(chunks))).toEqual({
        key,
        bytes: content.length,
      });

      expect(server.count('UploadPart')).toBe(3);
      expect(sha256(await read(storage, key))).toBe(sha256(content));
      expect(unfinished()).toEqual([]);
    });

    it('of few bytes is one request, however they come', async () => {
      await storage.upload(newKey(), Readable.from([Buffer.alloc(10), Buffer.alloc(20)]));
      expect(server.asked.map(({ operation }) => operation)).toEqual(['PutObject']);
    });

    it('signs the bytes themselves, and needs nothing that only AWS has', async () => {
      const content = randomBytes(1_000);
      const key = await store(content);
      const { headers } = server.asked[0]!;
      expect(headers['x-amz-content-sha256']).toBe(sha256(content));
      expect(Object.keys(headers).filter((name) => /checksum|trailer|acl/.test(name))).toEqual([]);
      expect(server.bucket.get(key).headers).toEqual({
        'content-type': 'image/webp',
        'cache-control': expect.stringMatching(/^private, /),
      });
    });

    it.each([
      ['its stream fails', (stream: PassThrough) => stream.destroy(new Error('gone')), 'gone'],
      ['its stream just closes', (stream: PassThrough) => stream.destroy(), 'Premature close'],
    ])('asks nothing of the store when %s', async (_name, end, message) => {
      const key = await store(Buffer.from('older'));
      const stream = new PassThrough();
      const asked = server.asked.length;
      const upload = storage.upload(key, stream);
      stream.write(randomBytes(6 * MEBIBYTE));
      await eventually(
        async () => stream.readableLength,
        (bytes) => bytes === 0,
      );
      end(stream);

      await expect(upload).rejects.toThrow(message);
      expect(server.asked).toHaveLength(asked);
      expect(String(await read(storage, key))).toBe('older');
    });

    /** Aborts an upload while its first part is on its way. */
    async function abortSending(): Promise<unknown> {
      server.faults.add({ on: 'UploadPart', delayMs: 200 });
      const controller = new AbortController();
      const { signal } = controller;
      const upload = storage.upload(newKey(), Readable.from([randomBytes(6 * MEBIBYTE)]), {
        signal,
      });
      const failed = upload.catch((error: unknown) => error);
      const parts = await eventually(
        async () => server.count('UploadPart'),
        (count) => count === 1,
      );
      expect(parts).toBe(1);
      controller.abort();
      return failed;
    }

    it('leaves no parts behind when it is aborted', async () => {
      expect(await abortSending()).toMatchObject({ name: 'AbortError' });
      expect(unfinished()).toEqual([]);
    });

    it('tells that it was aborted, also when the store fails as well', async () => {
      server.faults.add({ on: 'AbortMultipartUpload', fail: 'AccessDenied' });
      expect(await abortSending()).toMatchObject({ name: 'AbortError' });
      server.faults.clear();
      expect(unfinished()).toHaveLength(1);
      await storage.removeUnfinished(-1);
      expect(unfinished()).toEqual([]);
    });

    it.each([
      ['wants it slower', { fail: 'SlowDown', times: 2 } as const],
      ['breaks the connection', { cutRequestAfter: 20_000, times: 2 } as const],
      ['does its work, and its answer is lost', { loseAnswer: true, times: 1 } as const],
    ])('is tried again when the store %s', async (_name, fault) => {
      server.faults.add(fault);
      const content = randomBytes(400_000);
      expect(sha256(await read(storage, await store(content)))).toBe(sha256(content));
    });

    it('fails in the end, and stores nothing', async () => {
      for (const fault of [{ fail: 'InternalError' }, { cutRequestAfter: 20_000 }] as const) {
        server.faults.add({ on: 'PutObject', ...fault });
        const key = newKey();
        await expect(storage.uploadBuffer(key, randomBytes(400_000))).rejects.toThrow(Unavailable);
        server.faults.clear();
        await expect(storage.head(key)).rejects.toThrow(ObjectNotFound);
      }
    });
  });

  describe('a download', () => {
    const content = randomBytes(900_000);
    let key: string;
    let folder: string;

    beforeAll(async () => {
      key = await store(content);
      folder = await mkdtemp(join(tmpdir(), 'atelier-s3-'));
    });
    afterAll(() => rm(folder, { recursive: true }));

    it('goes on where its connection breaks', async () => {
      server.faults.add({ on: 'GetObject', cutAnswerAfter: 200_000, times: 3 });
      const path = join(folder, 'resumed');
      await storage.download(key, path);

      expect(sha256(await readFile(path))).toBe(sha256(content));
      const { etag } = server.bucket.get(key);
      const resumed = server.asked.filter(({ headers }) => headers['if-match'] === etag);
      expect(resumed).toHaveLength(3);
    });

    it('of a range goes on within the range', async () => {
      server.faults.add({ on: 'GetObject', cutAnswerAfter: 50_000, times: 2 });
      const { stream } = await storage.get(key, { range: { start: 100_000, end: 699_999 } });
      expect(sha256(await buffer(stream))).toBe(sha256(content.subarray(100_000, 700_000)));
    });

    it('fails when it breaks again and again, and never ends short', async () => {
      server.faults.add({ on: 'GetObject', cutAnswerAfter: 100_000 });
      const { stream } = await storage.get(key);
      await expect(buffer(stream)).rejects.toThrow(Unavailable);
      await expect(storage.download(key, join(folder, 'broken'))).rejects.toThrow(Unavailable);
    });

    it('is not put together of two objects', async () => {
      const replaced = await store(content);
      server.faults.add({ on: 'GetObject', cutAnswerAfter: 200_000, times: 1 });
      const { stream } = await storage.get(replaced);
      await store(randomBytes(content.length), replaced);
      await expect(buffer(stream)).rejects.toThrow(Unavailable);
    });

    it('that nobody wants any more is given up at once', async () => {
      server.faults.add({ on: 'GetObject', cutAnswerAfter: 100_000, times: 1 });
      server.faults.add({ on: 'GetObject', hang: true });
      const { stream } = await storage.get(key);
      stream.resume();
      await eventually(
        async () => server.count('GetObject'),
        (count) => count === 2,
      );
      stream.destroy();
      expect(
        await eventually(
          async () => server.openRequests,
          (open) => open === 0,
          5_000,
        ),
      ).toBe(0);
    });
  });

  describe('a store that claims another range than it was asked for', () => {
    const content = Buffer.from('0123456789');

    it.each([
      ['a part of what is to come whole', undefined, 'bytes 0-99999999/100000000'],
      ['a range that ends before it begins', undefined, 'bytes 10-5/3'],
      ['all of it', undefined, 'bytes 0-9/10'],
      ['a range that ends before it begins', { start: 2, end: 5 }, 'bytes 5-2/10'],
      ['a range past the end', { start: 2, end: 5 }, 'bytes 2-5/5'],
      ['another range', { start: 2, end: 5 }, 'bytes 1-4/10'],
      ['no size', { start: 2, end: 5 }, 'bytes 2-5/*'],
      ['no range that can be read', { start: 2, end: 5 }, '2-5'],
      ['more than numbers hold', { last: 4 }, `bytes ${'9'.repeat(400)}-${'9'.repeat(401)}/10`],
      ['fewer of the last bytes', { last: 4 }, 'bytes 7-9/10'],
    ])('is at fault: %s for %j', async (_name, range, claimed) => {
      const key = await store(content);
      const headers = { 'content-range': claimed };
      server.faults.add({ on: 'GetObject', claim: { status: 206, headers } });
      await expect(storage.get(key, { range })).rejects.toMatchObject({
        name: 'Unavailable',
        code: 'IncompleteAnswer',
      });
    });

    it('is at fault when its answer is not as long as the range', async () => {
      const key = await store(content);
      const range = { start: 2, end: 5 };
      const headers = { 'content-range': 'bytes 2-5/10', 'content-length': '3' };
      server.faults.add({ on: 'GetObject', claim: { headers } });
      await expect(storage.get(key, { range })).rejects.toThrow(Unavailable);
    });
  });

  describe('a store that fails', () => {
    it('is unavailable, and tells neither its address nor its keys', async () => {
      const wrong = openStorage(server, { S3_SECRET_ACCESS_KEY: 'not the secret' });
      const away = openStorage(server, { S3_ENDPOINT: 'http://127.0.0.1:1' });
      for (const [broken, code] of [
        [wrong, 'SignatureDoesNotMatch'],
        // Node's own code, which is lost between Jest's realms.
        [away, expect.any(String)],
        [
          new S3Storage({ ...offlineEnv(server.variables), S3_BUCKET: 'other' }, urls),
          'NoSuchBucket',
        ],
      ] as const) {
        const failure = await broken.get(newKey()).catch((error: unknown) => error);
        expect(failure).toMatchObject({ name: 'Unavailable', code });
        expect(inspectAll(failure)).not.toMatch(/127\.0\.0\.1|not the secret|AKIA|loopback/);
        await expect(broken.check()).rejects.toThrow(Unavailable);
        await expect(broken.uploadBuffer(newKey(), Buffer.from('x'))).rejects.toThrow(Unavailable);
        await expect(broken.delete(newKey())).rejects.toThrow(Unavailable);
        await expect(Readable.from(broken.listAll()).toArray()).rejects.toThrow(Unavailable);
      }
    });

    it('is not blamed for mistakes in the code', async () => {
      const noBytes = Readable.from([42]);
      await expect(storage.upload(newKey(), noBytes)).rejects.toMatchObject({ name: 'TypeError' });
      const mistaken = async () => (undefined as unknown as Buffer).length;
      await expect(within(1_000, mistaken)).rejects.toThrow(TypeError);
      expect(asFault(Object.assign(new TypeError(), { $response: {} }))).toBeInstanceOf(
        Unavailable,
      );
    });

    it('does not make objects look lost when its bucket is gone', async () => {
      server.faults.add({ fail: 'NoSuchBucket' });
      await expect(storage.get(newKey())).rejects.toThrow(Unavailable);
      await expect(storage.head(newKey())).rejects.toThrow(Unavailable);
    });

    it('does not make objects look lost by the word alone, without the status', async () => {
      for (const status of [400, 500]) {
        server.faults.add({ on: 'GetObject', fail: 'NoSuchKey', status });
        await expect(storage.get(newKey())).rejects.toThrow(Unavailable);
        server.faults.clear();
      }
    });

    it('is asked for its bucket only when an object is missing', async () => {
      const key = await store(Buffer.from('x'));
      await storage.head(key);
      expect(server.count('HeadBucket')).toBe(0);
      await expect(storage.head(newKey())).rejects.toThrow(ObjectNotFound);
      expect(server.count('HeadBucket')).toBe(1);
    });

    it.each(['', '<NextContinuationToken>again</NextContinuationToken>'])(
      'is not followed round and round through a list that never ends: %s',
      async (next) => {
        const say = `<ListBucketResult><IsTruncated>true</IsTruncated>${next}</ListBucketResult>`;
        server.faults.add({ on: 'ListObjectsV2', say });
        const failure = { name: 'Unavailable', code: 'IncompleteAnswer' };
        const before = server.count('ListObjectsV2');
        await expect(Readable.from(storage.listAll()).toArray()).rejects.toMatchObject(failure);
        expect(server.count('ListObjectsV2') - before).toBeLessThanOrEqual(2);
      },
    );

    it.each(['', '<NextKeyMarker>a</NextKeyMarker>'])(
      'is not followed round and round through uploads that never end: %s',
      async (next) => {
        const is = '<IsTruncated>true</IsTruncated>';
        const say = `<ListMultipartUploadsResult>${is}${next}</ListMultipartUploadsResult>`;
        server.faults.add({ on: 'ListMultipartUploads', say });
        const failure = { name: 'Unavailable', code: 'IncompleteAnswer' };
        await expect(storage.removeUnfinished(0)).rejects.toMatchObject(failure);
      },
    );

    it.each([
      ['an error', 400, 'GetObject', (key: string) => storage.get(key)],
      ['an error', 500, 'DeleteObject', (key: string) => storage.delete(key)],
      ['a refusal', 403, 'PutObject', (key: string) => storage.uploadBuffer(key, Buffer.from('x'))],
      ['a list', 200, 'ListObjectsV2', () => Readable.from(storage.listAll()).toArray()],
      ['word', 200, 'DeleteObject', (key: string) => storage.delete(key)],
    ] as const)('without end is not listened to: %s with %d', async (_name, status, on, call) => {
      server.faults.add({ on, endless: status });
      await expect(call(newKey())).rejects.toMatchObject({ code: 'AnswerTooLong' });
      const stillOpen = await eventually(
        async () => server.openRequests,
        (open) => open === 0,
      );
      expect(stillOpen).toBe(0);
    });

    it('that never answers is not ready', async () => {
      server.faults.add({ hang: true });
      const began = Date.now();
      await expect(storage.check()).rejects.toThrow(Unavailable);
      expect(Date.now() - began).toBeLessThan(4_000);
    });
  });

  it('removes what killed processes left unfinished, page by page, and nothing of others', async () => {
    const old = new Date(Date.now() - 3_700_000);
    const keys = Array.from({ length: 5 }, newKey);
    for (const key of keys) server.bucket.begin(key, {}).initiated = old;
    const others = ['backups/db.gz', 'dump.sql', 'images/Not/Ours'];
    for (const key of others) server.bucket.begin(key, {}).initiated = old;
    const young = server.bucket.begin(newKey(), {});

    expect(await storage.removeUnfinished(3_600_000)).toBe(5);
    expect(unfinished().toSorted()).toEqual([...others, young.key].toSorted());
    server.bucket.uploads.clear();
  });

  it('does not see what is not one of its own objects', async () => {
    const userId = newId();
    const key = await store(Buffer.from('x'), `images/${userId}/1-x/large.webp`);
    for (const name of [`images/${userId}/`, `images/${userId}/1-x/Thumbs.db`, 'elsewhere']) {
      server.bucket.put(name, Buffer.from('x'), {});
    }
    expect(await Readable.from(storage.list(userId)).toArray()).toMatchObject([{ key }]);
  });

  it('has a public address in the bucket when that is public, and else of the API', () => {
    const key = newKey();
    expect(storage.getPublicUrl(key)).toMatch(/^http:\/\/localhost:3000\/api\/v1\/files\//);
    expect(storage.servesPublicFiles).toBe(false);
    const open = openStorage(server, {
      S3_PUBLIC_BASE_URL: 'https://cdn.example.com/pictures/',
      STORAGE_REDIRECT: 'true',
    });
    expect(open.getPublicUrl(key)).toBe(`https://cdn.example.com/pictures/${key}`);
    expect(open.servesPublicFiles).toBe(true);
  });

  describe('a direct address', () => {
    const content = Buffer.from('0123456789');
    const from = new Date(Date.now() - 1_000);
    const how = { method: 'GET', from, seconds: 60, cacheControl: 'private, max-age=9' } as const;
    let direct: S3Storage;
    let key: string;

    beforeAll(async () => {
      direct = openStorage(server, { STORAGE_REDIRECT: 'true' });
      key = await store(content);
    });

    async function address(options: Partial<Parameters<Storage['createDirectUrl']>[1]> = {}) {
      const url = await direct.createDirectUrl(key, { ...how, fileName: 'a.webp', ...options });
      return url ?? '';
    }

    it('is there only when clients are to be redirected', async () => {
      expect(await storage.createDirectUrl(key, { ...how, fileName: 'a.webp' })).toBeUndefined();
      expect(await address()).toContain(server.url);
    });

    it('serves the object, or a range of it, as it was asked to', async () => {
      const answer = await fetch(await address());
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'image/webp',
        'cache-control': how.cacheControl,
        'content-disposition': 'inline; filename="a.webp"',
      });
      expect(await answer.text()).toBe(String(content));
      const range = await fetch(await address(), { headers: { range: 'bytes=2-3' } });
      expect([range.status, await range.text()]).toEqual([206, '23']);
    });

    it('is good for one object, one method and a while', async () => {
      expect((await fetch(await address(), { method: 'HEAD' })).status).toBe(403);
      expect((await fetch(await address({ method: 'HEAD' }), { method: 'HEAD' })).status).toBe(200);
      const other = await store(Buffer.from('other'));
      expect((await fetch((await address()).replace(key, other))).status).toBe(403);
      const short = await address({ from: new Date(), seconds: 1 });
      const late = await eventually(
        async () => (await fetch(short)).status,
        (code) => code === 403,
      );
      expect(late).toBe(403);
      await expect(address({ seconds: 604_801 })).rejects.toThrow(RangeError);
    });

    it('is always the same, so that browsers find what they keep', async () => {
      expect(await address()).toBe(await address());
    });

    it('may name the bucket in its host', async () => {
      const virtual = openStorage(server, {
        STORAGE_REDIRECT: 'true',
        S3_ENDPOINT: `http://store.example:${server.port}`,
        S3_FORCE_PATH_STYLE: 'false',
      });
      const url = new URL((await virtual.createDirectUrl(key, { ...how, fileName: 'a' })) ?? '');
      expect(url.hostname).toBe(`${server.bucketName}.store.example`);
      const status = await new Promise((resolve, reject) => {
        const options = {
          port: server.port,
          path: url.pathname + url.search,
          headers: { host: url.host },
        };
        request({ host: '127.0.0.1', ...options }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        })
          .on('error', reject)
          .end();
      });
      expect(status).toBe(200);
    });
  });
});

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** All that a log could show of an error. */
function inspectAll(error: unknown): string {
  return inspect(error, { depth: 10, showHidden: true });
}
