import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import {
  MAX_SIGNED_URL_SECONDS,
  ObjectNotFound,
  RangeNotSatisfiable,
  type AskedRange,
  type ListedObject,
  type Storage,
} from '../src/storage/storage.js';
import {
  imageKey,
  InvalidStorageKey,
  isStorageKey,
  MAX_KEY_LENGTH,
} from '../src/storage/storage-key.js';

export interface StorageUnderTest {
  storage: Storage;
  /** What the store holds besides whole objects: unfinished uploads, empty folders. */
  leftovers(): Promise<string[]>;
  close(): Promise<void>;
}

/** What every driver must do, whatever it stands on. */
export function describeStorage(name: string, make: () => Promise<StorageUnderTest>): void {
  describe(`${name} storage`, () => {
    let storage: Storage;
    let subject: StorageUnderTest;

    beforeAll(async () => {
      subject = await make();
      storage = subject.storage;
    });
    afterAll(() => subject.close());

    async function read(key: string, range?: AskedRange): Promise<Buffer> {
      return buffer((await storage.get(key, { range })).stream);
    }

    function list(userId: string, prefix?: string): Promise<ListedObject[]> {
      return Readable.from(storage.list(userId, prefix)).toArray() as Promise<ListedObject[]>;
    }

    function listAll(): Promise<ListedObject[]> {
      return Readable.from(storage.listAll()).toArray() as Promise<ListedObject[]>;
    }

    async function expectAbsent(key: string): Promise<void> {
      await expect(storage.get(key)).rejects.toThrow(ObjectNotFound);
      await expect(storage.head(key)).rejects.toThrow(ObjectNotFound);
      expect(await subject.leftovers()).toEqual([]);
    }

    describe('what is stored', () => {
      it.each([0, 1, 65_536, 3_000_001])('comes back as it was: %i bytes', async (bytes) => {
        const key = newKey();
        const content = randomBytes(bytes);

        const stored = await storage.upload(key, Readable.from(chunksOf(content, 50_000)));
        expect(stored).toEqual({ key, bytes });

        const object = await storage.get(key);
        expect(object).toMatchObject({ bytes, range: undefined, contentType: 'image/webp' });
        expect(Math.abs(object.lastModified.getTime() - Date.now())).toBeLessThan(60_000);
        expect(sha256(await buffer(object.stream))).toBe(sha256(content));
      });

      it.each([0, 1, 3_000_001])('comes back from a buffer of %i bytes', async (bytes) => {
        const key = newKey();
        const content = randomBytes(bytes);

        expect(await storage.uploadBuffer(key, content)).toEqual({ key, bytes });
        expect(sha256(await read(key))).toBe(sha256(content));
      });

      it('replaces the older object', async () => {
        const key = newKey();
        await storage.uploadBuffer(key, Buffer.from('the older and longer one'));
        await storage.uploadBuffer(key, Buffer.from('newer'));

        expect(String(await read(key))).toBe('newer');
      });

      it('has the type of its extension, and an unknown one is only bytes', async () => {
        const types = { jpg: 'image/jpeg', png: 'image/png', html: 'application/octet-stream' };
        for (const [ext, contentType] of Object.entries(types)) {
          const key = newKey({ ext });
          await storage.uploadBuffer(key, Buffer.from('x'));
          const object = await storage.get(key);
          object.stream.destroy();
          expect(object.contentType).toBe(contentType);
        }
      });

      it.each([0, 3_000_001])('is known without its %i bytes', async (bytes) => {
        const key = newKey({ ext: 'jpg' });
        await storage.uploadBuffer(key, Buffer.alloc(bytes));
        const { stream, range: _, ...opened } = await storage.get(key);
        stream.destroy();

        expect(await storage.head(key)).toEqual(opened);
        expect(opened).toMatchObject({ bytes, contentType: 'image/jpeg' });
      });

      it('is whole when many write one key at once', async () => {
        const key = newKey();
        const contents = Array.from({ length: 12 }, () => randomBytes(400_000));
        await Promise.all(
          contents.map((content) => storage.upload(key, Readable.from(chunksOf(content, 9_000)))),
        );

        expect(contents.map(sha256)).toContain(sha256(await read(key)));
        expect(await subject.leftovers()).toEqual([]);
      });

      it('is not there until the upload has ended', async () => {
        const key = newKey();
        const stream = new PassThrough();
        const upload = storage.upload(key, stream);
        stream.write(randomBytes(100_000));
        await sleep(50);
        await expect(storage.get(key)).rejects.toThrow(ObjectNotFound);
        await expect(storage.head(key)).rejects.toThrow(ObjectNotFound);

        stream.end();
        await upload;
        expect(await read(key)).toHaveLength(100_000);
      });
    });

    describe('a range', () => {
      const content = Buffer.from('0123456789');
      const key = newKey();

      beforeAll(() => storage.uploadBuffer(key, content));

      it.each([
        ['goes to the end without one', { start: 4 }, '456789', { start: 4, end: 9 }],
        ['includes its end', { start: 2, end: 5 }, '2345', { start: 2, end: 5 }],
        ['may be one byte', { start: 0, end: 0 }, '0', { start: 0, end: 0 }],
        ['stops at the last byte', { start: 8, end: 1e9 }, '89', { start: 8, end: 9 }],
        ['may be the last ones', { last: 3 }, '789', { start: 7, end: 9 }],
        ['may be the last of fewer', { last: 11 }, '0123456789', { start: 0, end: 9 }],
        [
          'may reach as far as numbers do',
          { start: 9, end: Number.MAX_SAFE_INTEGER },
          '9',
          { start: 9, end: 9 },
        ],
      ])('%s', async (_name, asked, text, range) => {
        const object = await storage.get(key, { range: asked });

        expect(object).toMatchObject({ range, bytes: 10 });
        expect(String(await buffer(object.stream))).toBe(text);
      });

      it.each([
        ['begins past the end', { start: 10 }],
        ['ends before it begins', { start: 5, end: 4 }],
        ['begins before the first byte', { start: -1 }],
        ['has a fraction', { start: 0.5 }],
        ['is no number', { start: NaN }],
        ['begins as far as numbers go', { start: Number.MAX_SAFE_INTEGER }],
        ['is the last 0', { last: 0 }],
        ['is the last of a negative number', { last: -1 }],
        ['is the last of no number', { last: NaN }],
      ])('is refused with the whole size when it %s', async (_name, range) => {
        const refusal = storage.get(key, { range });
        await expect(refusal).rejects.toThrow(RangeNotSatisfiable);
        await expect(refusal).rejects.toMatchObject({ key, bytes: 10 });
      });

      it('of an empty object is refused', async () => {
        const empty = newKey();
        await storage.uploadBuffer(empty, Buffer.alloc(0));
        for (const range of [{ start: 0 }, { start: 0, end: 0 }, { last: 1 }]) {
          await expect(storage.get(empty, { range })).rejects.toThrow(RangeNotSatisfiable);
        }
      });
    });

    describe('an upload that does not end well', () => {
      it('leaves nothing when its stream fails', async () => {
        const key = newKey();
        const stream = Readable.from(failingAfter(200_000));

        await expect(storage.upload(key, stream)).rejects.toThrow('the client is gone');
        await expectAbsent(key);
      });

      it('leaves nothing when its stream fails before it is read', async () => {
        const keys = Array.from({ length: 40 }, () => newKey());
        const uploads = keys.map(async (key) => {
          const stream = new PassThrough();
          const upload = storage.upload(key, stream);
          stream.destroy(new Error('the client is gone'));
          await expect(upload).rejects.toThrow('the client is gone');
        });
        await Promise.all(uploads);

        for (const key of keys) await expectAbsent(key);
      });

      it('leaves nothing when its stream just closes', async () => {
        const key = newKey();
        const stream = new PassThrough();
        const upload = storage.upload(key, stream);
        stream.write(randomBytes(100_000));
        setTimeout(() => stream.destroy(), 20);

        await expect(upload).rejects.toThrow();
        await expectAbsent(key);
      });

      it('leaves nothing when it is aborted, at any moment', async () => {
        const keys = Array.from({ length: 60 }, () => newKey());
        const uploads = keys.map(async (key, index) => {
          const stream = Readable.from(endlessly());
          const signal = index === 0 ? AbortSignal.abort() : AbortSignal.timeout(index % 25);
          await expect(storage.upload(key, stream, { signal })).rejects.toThrow();
          expect(stream.destroyed).toBe(true);
        });
        await Promise.all(uploads);

        for (const key of keys) await expectAbsent(key);
      });

      it('leaves the older object as it was', async () => {
        const key = newKey();
        await storage.uploadBuffer(key, Buffer.from('older'));
        await expect(storage.upload(key, Readable.from(failingAfter(10)))).rejects.toThrow();

        expect(String(await read(key))).toBe('older');
      });

      it('destroys the stream when the key is refused', async () => {
        const stream = Readable.from(endlessly());
        await expect(storage.upload('../escape', stream)).rejects.toThrow(InvalidStorageKey);
        expect(stream.destroyed).toBe(true);
      });
    });

    describe('files of this machine', () => {
      let folder: string;
      let path: string;
      const content = randomBytes(300_000);

      beforeEach(async () => {
        folder = await mkdtemp(join(tmpdir(), 'atelier-files-'));
        path = join(folder, 'made');
        await writeFile(path, content);
      });
      afterEach(() => rm(folder, { recursive: true }));

      it('are stored, also in place of an older object or of themselves, and stay', async () => {
        const key = newKey();
        await storage.uploadBuffer(key, Buffer.from('older'));
        for (const _ of ['in place of the older', 'in place of itself']) {
          expect(await storage.uploadFile(key, path)).toEqual({ key, bytes: content.length });
        }

        expect(sha256(await readFile(path))).toBe(sha256(content));
        await rm(path);
        expect(sha256(await read(key))).toBe(sha256(content));
        expect(await subject.leftovers()).toEqual([]);
      });

      it('are made of objects, and stay when those go', async () => {
        const key = newKey();
        await storage.uploadBuffer(key, content);
        const copy = join(folder, 'copy');
        await storage.download(key, copy);
        await storage.delete(key);

        expect(sha256(await readFile(copy))).toBe(sha256(content));
        await expectAbsent(key);
      });

      it('are not stored when they are missing, when it is too late, or under a wrong key', async () => {
        const key = newKey();
        await expect(storage.uploadFile(key, join(folder, 'missing'))).rejects.toThrow();
        const signal = AbortSignal.abort();
        await expect(storage.uploadFile(key, path, { signal })).rejects.toThrow();
        await expect(storage.uploadFile('../escape', path)).rejects.toThrow(InvalidStorageKey);

        await expectAbsent(key);
      });

      it('are not made of what is not stored, nor in place of others', async () => {
        const key = newKey();
        const copy = join(folder, 'copy');
        await expect(storage.download(key, copy)).rejects.toThrow(ObjectNotFound);
        await expect(storage.download('../escape', copy)).rejects.toThrow(InvalidStorageKey);
        await storage.uploadBuffer(key, Buffer.from('x'));
        await expect(storage.download(key, path)).rejects.toThrow('EEXIST');

        expect(sha256(await readFile(path))).toBe(sha256(content));
      });
    });

    describe('a deletion', () => {
      it('is done once and no error twice', async () => {
        const key = newKey();
        await storage.uploadBuffer(key, Buffer.from('x'));
        await storage.delete(key);
        await storage.delete(key);

        await expectAbsent(key);
      });

      it('lets an open reader finish', async () => {
        const key = newKey();
        const content = randomBytes(500_000);
        await storage.uploadBuffer(key, content);
        const { stream } = await storage.get(key);
        await storage.delete(key);

        expect(sha256(await buffer(stream))).toBe(sha256(content));
      });

      it('never costs an upload beside it', async () => {
        const parts = { userId: newId(), imageId: newId(), epochMs: Date.now() };
        const lanes = Array.from({ length: 8 }, async (_, lane) => {
          const key = newKey({ ...parts, variant: `lane-${lane}` });
          for (let round = 0; round < 25; round++) {
            await storage.uploadBuffer(key, Buffer.from('x'));
            expect(await read(key)).toHaveLength(1);
            await storage.delete(key);
          }
        });
        await Promise.all(lanes);

        expect(await list(parts.userId)).toEqual([]);
        expect(await subject.leftovers()).toEqual([]);
      });
    });

    describe('a list', () => {
      it('holds all objects of the user, in the order of their keys, and no one else’s', async () => {
        const userId = newId();
        // Ids of which one begins with another are the ones that a careless prefix mixes up.
        const others = [newId(), `${userId}-0`, userId.slice(0, -1)];
        const imageId = newId();
        const keys = [9, 10, 1_000].flatMap((epochMs) =>
          // `-` sorts before `/`: the order of the keys is not that of the folders' names.
          [imageId, `${imageId}-0`].flatMap((imageId) =>
            ['large', 'thumbnail'].map((variant) => newKey({ userId, epochMs, imageId, variant })),
          ),
        );
        for (const key of keys) await storage.uploadBuffer(key, Buffer.from('four'));
        for (const other of others) {
          await storage.uploadBuffer(newKey({ userId: other }), Buffer.from('x'));
        }

        const listed = await list(userId);
        expect(listed.map(({ key }) => key)).toEqual(keys.toSorted());
        for (const object of listed) {
          expect(object.bytes).toBe(4);
          expect(Math.abs(object.lastModified.getTime() - Date.now())).toBeLessThan(60_000);
        }
      });

      it('goes by prefix, to any character of the key', async () => {
        const parts = { userId: newId(), imageId: newId() };
        const [early, late] = [100, 200].map((epochMs) => newKey({ ...parts, epochMs })) as [
          string,
          string,
        ];
        for (const key of [early, late]) await storage.uploadBuffer(key, Buffer.from('x'));

        async function keysFrom(prefix: string): Promise<string[]> {
          return (await list(parts.userId, prefix)).map(({ key }) => key);
        }
        expect(await keysFrom('')).toEqual([early, late]);
        expect(await keysFrom('1')).toEqual([early]);
        expect(await keysFrom('200-')).toEqual([late]);
        expect(await keysFrom(`100-${parts.imageId}`)).toEqual([early]);
        expect(await keysFrom(`100-${parts.imageId}/`)).toEqual([early]);
        expect(await keysFrom(`100-${parts.imageId}/lar`)).toEqual([early]);
        expect(await keysFrom(`100-${parts.imageId}/large.webp`)).toEqual([early]);
        expect(await keysFrom(`100-${parts.imageId}/medium`)).toEqual([]);
        expect(await keysFrom('3')).toEqual([]);
      });

      it('of an unknown user is empty', async () => {
        expect(await list(newId())).toEqual([]);
      });

      it.each(['', '..', 'a/b', 'A', 'a.b', '-', '\0', 'ü', 'x'.repeat(MAX_KEY_LENGTH)])(
        'refuses the user id %j',
        async (userId) => {
          await expect(list(userId)).rejects.toThrow(InvalidStorageKey);
        },
      );

      it.each(['..', '../', '/', 'a//', 'a.b/c', '%2e%2e/', 'a\\', 'x'.repeat(MAX_KEY_LENGTH)])(
        'refuses the prefix %j',
        async (prefix) => {
          await expect(list(newId(), prefix)).rejects.toThrow(InvalidStorageKey);
        },
      );
    });

    describe('a list of all', () => {
      it('holds the pictures of everyone, in the order of their keys, and nothing else', async () => {
        const userId = newId();
        const users = [userId, `${userId}-0`, newId()];
        const keys = users.flatMap((userId) =>
          ['large', 'thumbnail'].map((variant) => newKey({ userId, variant })),
        );
        const elsewhere = `elsewhere/${newId()}.webp`;
        for (const key of [...keys, elsewhere]) {
          await storage.uploadBuffer(key, Buffer.from('four'));
        }

        const listed = await listAll();
        const listedKeys = listed.map(({ key }) => key);
        expect(listedKeys).toEqual([...new Set(listedKeys)].toSorted());
        expect(listedKeys.filter((key) => keys.includes(key))).toEqual(keys.toSorted());
        expect(listedKeys.filter((key) => !key.startsWith('images/'))).toEqual([]);
        const own = await list(userId);
        expect(listed.filter(({ key }) => key.startsWith(`images/${userId}/`))).toEqual(own);
        await storage.delete(elsewhere);
      });

      it('may be left before its end, and be read while what it lists is deleted', async () => {
        const userId = newId();
        const keys = ['large', 'medium', 'thumbnail'].map((variant) => newKey({ userId, variant }));
        for (const key of keys) await storage.uploadBuffer(key, Buffer.from('x'));

        for await (const { key } of storage.listAll()) {
          expect(isStorageKey(key)).toBe(true);
          break;
        }
        const seen: string[] = [];
        for await (const { key } of storage.listAll()) {
          if (!keys.includes(key)) continue;
          seen.push(key);
          await storage.delete(key);
        }
        expect(seen).toEqual(keys.toSorted());
        expect(await list(userId)).toEqual([]);
      });
    });

    describe('a list of a folder', () => {
      it('holds what lies below it, in the order of the keys, and nothing else', async () => {
        const folder = `elsewhere/${newId()}`;
        const keys = ['a.part', 'b/c.part', 'd.part'].map((name) => `${folder}/${name}`);
        const others = [`${folder}-0/a.part`, `elsewhere/${newId()}/a.part`];
        for (const key of [...keys.toReversed(), ...others]) {
          await storage.uploadBuffer(key, Buffer.from('four'));
        }
        const listed = await Readable.from(storage.listFolder(`${folder}/`)).toArray();
        expect(listed).toMatchObject(keys.map((key) => ({ key, bytes: 4 })));
        for (const key of [...keys, ...others]) await storage.delete(key);
        expect(await Readable.from(storage.listFolder(`${folder}/`)).toArray()).toEqual([]);
      });

      it.each(['', '/', 'a', 'a.b/', '../', 'a//', '/a/', 'A/', 'a/'.repeat(200)])(
        'refuses the folder %j',
        async (folder) => {
          const listed = Readable.from(storage.listFolder(folder)).toArray();
          await expect(listed).rejects.toThrow(InvalidStorageKey);
        },
      );
    });

    describe('a hostile key', () => {
      it('is refused by every method, and reaches nothing', async () => {
        for (const key of [...HOSTILE_KEYS, ...scrambledKeys(500)]) {
          const attempts = [
            () => storage.uploadBuffer(key, Buffer.from('x')),
            () => storage.get(key),
            () => storage.head(key),
            () => storage.delete(key),
            () => storage.getPublicUrl(key),
            () => storage.createSignedUrls([newKey(), key], 60),
          ];
          for (const attempt of attempts) {
            await expect(async () => await attempt()).rejects.toThrow(InvalidStorageKey);
          }
        }
        expect(await subject.leftovers()).toEqual([]);
      });
    });

    describe('an address', () => {
      it('is an absolute URL that names the key', async () => {
        const key = newKey();
        for (const url of [storage.getPublicUrl(key), ...storage.createSignedUrls([key], 60)]) {
          expect(new URL(url).pathname.endsWith(`/${key}`)).toBe(true);
        }
      });

      it.each([0, -1, 1.5, NaN, Infinity, MAX_SIGNED_URL_SECONDS + 1])(
        'is not signed for %d seconds',
        (seconds) => {
          expect(() => storage.createSignedUrls([newKey()], seconds)).toThrow(RangeError);
        },
      );
    });

    it('is ready, and leaves no trace of being asked', async () => {
      await Promise.all([storage.check(), storage.check(), storage.check()]);
      expect(await subject.leftovers()).toEqual([]);
    });
  });
}

function newKey(parts: Partial<Parameters<typeof imageKey>[0]> = {}): string {
  return imageKey({
    userId: newId(),
    epochMs: Date.now(),
    imageId: newId(),
    variant: 'large',
    ext: 'webp',
    ...parts,
  });
}

const HOSTILE_KEYS = [
  '',
  '.',
  '..',
  '/',
  '/etc/passwd',
  'images',
  'images/',
  'images//a.webp',
  'images/./a.webp',
  'images/../a.webp',
  '../a.webp',
  'images/user/../../../../etc/hosts.webp',
  'images/..webp',
  'images/a..webp',
  'images/.hidden.webp',
  '.incoming/a.webp',
  'images/a.webp/',
  'images/a.webp/b.webp',
  'images/a.webp\n',
  'images/a.webp\0.png',
  'images/\0/a.webp',
  'images\\a.webp',
  '..\\a.webp',
  'c:\\a.webp',
  'c:/a.webp',
  'images/%2e%2e/a.webp',
  '%2e%2e%2fa.webp',
  'images/a%00.webp',
  'images/a.webp?expires=never',
  'images/a.webp#x',
  'images/A.webp',
  'images/a b.webp',
  'images/-a.webp',
  'images/~root.webp',
  'images/ä.webp',
  'images/a\u0301.webp',
  'images/\u2025/a.webp',
  'images/\uff0e\uff0e/a.webp',
  'images/\u202ea.webp',
  'images/\ud800.webp',
  'images/$(id).webp',
  `images/${'a'.repeat(MAX_KEY_LENGTH)}.webp`,
  `${'a/'.repeat(100_000)}a.webp`,
  `images/${'a-'.repeat(100_000)}`,
];

/** Keys put together at random, always the same ones, of which none happens to be well-formed. */
function scrambledKeys(count: number): string[] {
  const pieces = [
    'images',
    'a',
    '-',
    '.',
    '..',
    '/',
    '//',
    '\\',
    '%2e',
    '%2f',
    '\0',
    'ü',
    'A',
    ' ',
  ];
  let state = 20_260_101;
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % below;
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + next(9) }, () => pieces[next(pieces.length)]).join(''),
  ).filter((key) => !isStorageKey(key));
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function* chunksOf(content: Buffer, bytes: number): Generator<Buffer> {
  for (let at = 0; at < content.length; at += bytes) yield content.subarray(at, at + bytes);
}

function* failingAfter(bytes: number): Generator<Buffer> {
  yield randomBytes(bytes);
  throw new Error('the client is gone');
}

async function* endlessly(): AsyncGenerator<Buffer> {
  for (;;) {
    yield randomBytes(10_000);
    await sleep(2);
  }
}
