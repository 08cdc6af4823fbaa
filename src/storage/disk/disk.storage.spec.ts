import { randomBytes } from 'node:crypto';
import {
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { describeStorage } from '../../../test/storage-suite.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { DiskStorage } from './disk.storage.js';
import { FileUrlSigner } from '../signed-url.js';
import { ObjectNotFound } from '../storage.js';

const urls = new FileUrlSigner({
  APP_SECRET: randomBytes(48).toString('base64'),
  PUBLIC_URL: 'http://localhost:3000',
});

async function openStorage(dataDir: string): Promise<DiskStorage> {
  const storage = new DiskStorage({ DATA_DIR: dataDir }, urls);
  await storage.onModuleInit();
  return storage;
}

describeStorage('disk', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-storage-'));
  return {
    storage: await openStorage(dataDir),
    leftovers: () => leftoversIn(dataDir),
    close: () => rm(dataDir, { recursive: true }),
  };
});

/** Incoming files, folders without a file, and whatever escaped the root. */
async function leftoversIn(dataDir: string): Promise<string[]> {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true });
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  const expected = new Set(
    ['files', 'files/.incoming', 'files/images'].map((name) => join(dataDir, name)),
  );
  return paths.filter((path, index) => {
    if (expected.has(path)) return false;
    const hasFiles = paths.some((other) => other.startsWith(`${path}/`));
    return entries[index]!.isDirectory()
      ? !hasFiles
      : !path.startsWith(join(dataDir, 'files/images/'));
  });
}

describe('the disk driver', () => {
  const key = 'images/user/1-image/large.webp';
  let dataDir: string;
  let root: string;
  let storage: DiskStorage;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'atelier-storage-'));
    root = join(dataDir, 'files');
    storage = await openStorage(dataDir);
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  it('lets only its own user read files and folders', async () => {
    await storage.uploadBuffer(key, Buffer.from('x'));

    expect((await stat(join(root, key))).mode & 0o777).toBe(0o600);
    for (const folder of ['', '.incoming', 'images', 'images/user', 'images/user/1-image']) {
      expect((await stat(join(root, folder))).mode & 0o777).toBe(0o700);
    }
  });

  it('lets only its own user read files that others made', async () => {
    const path = join(dataDir, 'made');
    await writeFile(path, 'x', { mode: 0o644 });
    await storage.uploadFile(key, path);
    expect((await stat(join(root, key))).mode & 0o777).toBe(0o600);
  });

  it('removes folders that a deletion made empty, and no others', async () => {
    const other = 'images/user/2-image/large.webp';
    await storage.uploadBuffer(key, Buffer.from('x'));
    await storage.uploadBuffer(other, Buffer.from('x'));

    await storage.delete(key);
    expect(await readdir(join(root, 'images/user'))).toEqual(['2-image']);
    await storage.delete(other);
    expect(await readdir(root)).toEqual(['.incoming']);
  });

  it('removes what has not grown for so long and never ended', async () => {
    const incoming = join(root, '.incoming');
    await writeFile(join(incoming, 'stale'), 'x');
    await writeFile(join(incoming, 'growing'), 'x');
    const secondsAgo = (seconds: number) => Date.now() / 1000 - seconds;
    await utimes(join(incoming, 'stale'), secondsAgo(3_700), secondsAgo(3_700));
    await utimes(join(incoming, 'growing'), secondsAgo(3_500), secondsAgo(3_500));

    const removed = await Promise.all([1, 2, 3].map(() => storage.removeUnfinished(3_600_000)));
    expect(Math.max(...removed)).toBe(1);
    expect(await readdir(incoming)).toEqual(['growing']);
  });

  it('does not see what is not one of its own files', async () => {
    const folder = 'images/user/1-image/folder.webp';
    await storage.uploadBuffer(key, Buffer.from('x'));
    await mkdir(join(root, folder));
    for (const name of ['.DS_Store', 'Thumbs.db', 'large.webp~', 'noextension']) {
      await writeFile(join(root, dirname(key), name), 'x');
    }

    await expect(storage.get(folder)).rejects.toThrow(ObjectNotFound);
    await expect(storage.head(folder)).rejects.toThrow(ObjectNotFound);
    expect(await Readable.from(storage.list('user')).toArray()).toMatchObject([{ key }]);
    expect(await Readable.from(storage.listAll()).toArray()).toMatchObject([{ key }]);
  });

  it('takes files for folders, and folders for files, as nothing that is stored', async () => {
    await storage.uploadBuffer(key, Buffer.from('x'));
    const below = `${key.slice(0, key.lastIndexOf('/'))}-2/large.webp`;
    await writeFile(dirname(join(root, below)), 'a file in the place of a folder');
    const folder = 'images/user/1-image/medium.webp';
    await mkdir(join(root, folder));
    for (const each of [below, folder]) {
      await expect(storage.head(each)).rejects.toThrow(ObjectNotFound);
      await expect(storage.get(each)).rejects.toThrow(ObjectNotFound);
      await storage.delete(each);
      await expect(storage.uploadBuffer(each, Buffer.from('x'))).rejects.toThrow();
    }
    expect(await Readable.from(storage.list('user', '1-image-2/')).toArray()).toEqual([]);
    expect(await readdir(dirname(join(root, folder)))).toEqual(['large.webp', 'medium.webp']);
  });

  it('lists nothing of an empty store', async () => {
    expect(await Readable.from(storage.listAll()).toArray()).toEqual([]);
  });

  it('keeps files over a restart', async () => {
    await storage.uploadBuffer(key, Buffer.from('x'));
    const { stream, bytes } = await (await openStorage(dataDir)).get(key);
    stream.destroy();
    expect(bytes).toBe(1);
  });

  it('may stand on a root that is itself a link', async () => {
    const moved = await mkdtemp(join(tmpdir(), 'atelier-storage-'));
    await rm(root, { recursive: true });
    await symlink(moved, root);
    const linked = await openStorage(dataDir);
    await linked.uploadBuffer(key, Buffer.from('x'));

    expect((await stat(join(moved, key))).size).toBe(1);
    await rm(moved, { recursive: true });
  });

  it('is not ready when its folder is gone', async () => {
    await rm(root, { recursive: true });
    await expect(storage.check()).rejects.toThrow('ENOENT');
  });

  it('says that it is away while its folder is gone, and not that a file is at fault', async () => {
    await rename(root, `${root}-away`);
    const stored = storage.uploadBuffer(key, Buffer.from('own'));
    await expect(stored).rejects.toThrow(Unavailable);
    await rename(`${root}-away`, root);
    await storage.uploadBuffer(key, Buffer.from('own'));
  });

  describe('symbolic links below the root', () => {
    let outside: string;

    beforeEach(async () => {
      outside = join(dataDir, 'outside');
      await mkdir(join(outside, '1-image'), { recursive: true });
      await writeFile(join(outside, '1-image/large.webp'), 'secret');
    });

    async function expectUntouched(): Promise<void> {
      expect(await readdir(outside, { recursive: true })).toEqual([
        '1-image',
        '1-image/large.webp',
      ]);
      expect((await stat(join(outside, '1-image/large.webp'))).size).toBe('secret'.length);
    }

    it('as a file is not read, and an upload replaces the link, not its target', async () => {
      await mkdir(dirname(join(root, key)), { recursive: true });
      await symlink(join(outside, '1-image/large.webp'), join(root, key));

      await expect(storage.get(key)).rejects.toThrow(ObjectNotFound);
      await expect(storage.head(key)).rejects.toThrow(ObjectNotFound);
      expect(await Readable.from(storage.list('user')).toArray()).toEqual([]);
      expect(await Readable.from(storage.listAll()).toArray()).toEqual([]);
      await expectUntouched();
      await storage.uploadBuffer(key, Buffer.from('own'));
      await storage.delete(key);
      await expectUntouched();
    });

    it('as a folder is not followed by any method', async () => {
      await mkdir(join(root, 'images'));
      await symlink(outside, join(root, 'images/user'));

      await expect(storage.get(key)).rejects.toThrow(ObjectNotFound);
      await expect(storage.head(key)).rejects.toThrow(ObjectNotFound);
      expect(await Readable.from(storage.list('user')).toArray()).toEqual([]);
      expect(await Readable.from(storage.listAll()).toArray()).toEqual([]);
      await storage.delete(key);
      await expect(storage.uploadBuffer(key, Buffer.from('own'))).rejects.toThrow('symbolic link');
      await expect(
        storage.uploadBuffer('images/user/9-new/large.webp', Buffer.from('own')),
      ).rejects.toThrow('symbolic link');
      expect(await readdir(join(root, '.incoming'))).toEqual([]);
      await expectUntouched();
    });

    it('as the folder of all pictures is not followed', async () => {
      await mkdir(join(outside, 'user'));
      await writeFile(join(outside, 'user/large.webp'), 'secret');
      await symlink(outside, join(root, 'images'));

      expect(await Readable.from(storage.listAll()).toArray()).toEqual([]);
      await expect(storage.head('images/user/large.webp')).rejects.toThrow(ObjectNotFound);
    });

    it('that lead nowhere make an upload fail, and nothing appears behind them', async () => {
      await mkdir(join(root, 'images'));
      await symlink(join(dataDir, 'nowhere'), join(root, 'images/user'));

      await expect(storage.uploadBuffer(key, Buffer.from('own'))).rejects.toThrow();
      expect((await readdir(dataDir)).toSorted()).toEqual(['files', 'outside']);
    });
  });
});
