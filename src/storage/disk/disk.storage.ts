import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import {
  lstat,
  open,
  readdir,
  realpath,
  rename,
  rm,
  unlink,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { OnModuleInit } from '@nestjs/common';
import type { Env } from '../../core/env.js';
import { Unavailable } from '../../core/problems/unavailable.js';
import { makeDataFolder } from '../../core/process/data-folder.js';
import {
  FILE_MODE,
  flushFile,
  flushFolder,
  hasCode,
  ignoreMissing,
  isMissing,
  isRealFolder,
  isWritableFolder,
  makeFolder,
  removeEmptyFolders,
  shareFile,
  writeFlushed,
} from './disk-files.js';
import { FileStream } from './file-stream.js';
import type { FileUrlSigner } from '../signed-url.js';
import {
  ObjectNotFound,
  resolveRange,
  Storage,
  type AskedRange,
  type ListedObject,
  type ObjectHead,
  type StoredFile,
  type StoredObject,
  type UploadOptions,
} from '../storage.js';
import {
  assertFolder,
  assertStorageKey,
  contentTypeOf,
  imagePrefix,
  IMAGES_FOLDER,
  isStorageKey,
} from '../storage-key.js';

/** Where files grow until they are whole: beside them, and hidden, as no key can be. */
const INCOMING = '.incoming';

/** Per read: fewer and larger ones cost less CPU, but a slow client holds two of them in memory. */
const READ_BYTES = 128 * 1024;

/** How often the rename is tried again when a parallel delete tidies its folder away. */
const PUBLISH_ATTEMPTS = 10;

/**
 * Files under `DATA_DIR/files`, for one machine; several processes may share them.
 *
 * A file is written aside, flushed and renamed, so that it appears whole and stays after a power
 * cut. Symbolic links below the root are no part of the store: reads and lists do not see them, and
 * writes refuse to follow them. The root itself may be one.
 */
export class DiskStorage extends Storage implements OnModuleInit {
  override readonly driver = 'disk';
  override readonly servesPublicFiles = false;
  private root: string;

  constructor(
    env: Pick<Env, 'DATA_DIR'>,
    private readonly urls: FileUrlSigner,
  ) {
    super();
    this.root = resolve(env.DATA_DIR, 'files');
  }

  /** Makes the folders. Comes before all else. */
  async onModuleInit(): Promise<void> {
    await makeDataFolder(this.root);
    this.root = await realpath(this.root);
    await makeFolder(this.incoming);
  }

  override async upload(
    key: string,
    stream: Readable,
    { signal }: UploadOptions = {},
  ): Promise<StoredFile> {
    try {
      return await this.store(key, (path) => writeFlushed(path, stream, signal));
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  override async uploadFile(
    key: string,
    path: string,
    { signal }: UploadOptions = {},
  ): Promise<StoredFile> {
    return this.store(key, async (incoming) => {
      await shareFile(path, incoming);
      const bytes = await flushFile(incoming);
      signal?.throwIfAborted();
      return bytes;
    });
  }

  override async get(key: string, { range }: { range?: AskedRange } = {}): Promise<StoredObject> {
    const file = await this.openFile(key);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new ObjectNotFound(key);
      const resolved = range && resolveRange(key, stats.size, range);
      // Told where to stop, it takes no buffer beyond the file and no read to find its end.
      const { start, end } = resolved ?? { start: 0, end: Math.max(0, stats.size - 1) };
      return {
        stream: new FileStream(file, { start, end, highWaterMark: READ_BYTES }),
        range: resolved,
        ...describe(key, stats),
      };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  override async download(key: string, path: string): Promise<void> {
    await this.head(key);
    try {
      await shareFile(this.pathOf(key), path);
    } catch (error) {
      // Deleted in between; a missing folder of `path` looks the same.
      if (isMissing(error)) await this.head(key);
      throw error;
    }
  }

  override async head(key: string): Promise<ObjectHead> {
    const path = this.pathOf(key);
    const stats = (await isRealFolder(dirname(path))) && (await ignoreMissing(lstat(path)));
    if (!stats || !stats.isFile()) throw new ObjectNotFound(key);
    return describe(key, stats);
  }

  override async delete(key: string): Promise<void> {
    const path = this.pathOf(key);
    // Neither is a folder that stands in the place of a file one of its objects.
    const stats = (await isRealFolder(dirname(path))) && (await ignoreMissing(lstat(path)));
    if (!stats || stats.isDirectory()) return;
    await ignoreMissing(unlink(path));
    await removeEmptyFolders(dirname(path), this.root);
  }

  override async *list(userId: string, prefix?: string): AsyncGenerator<ListedObject> {
    const start = imagePrefix(userId, prefix);
    const folder = start.slice(0, start.lastIndexOf('/'));
    if (await isRealFolder(join(this.root, folder))) yield* this.walk(folder, start);
  }

  override listAll(): AsyncGenerator<ListedObject> {
    return this.listFolder(`${IMAGES_FOLDER}/`);
  }

  override async *listFolder(folder: string): AsyncGenerator<ListedObject> {
    assertFolder(folder);
    if (!(await isRealFolder(join(this.root, folder.slice(0, -1))))) return;
    yield* this.walk(folder.slice(0, -1), folder);
  }

  /** Signed like any other address but without an end, so that it can be cached and handed on. */
  override getPublicUrl(key: string): string {
    assertStorageKey(key);
    return this.urls.url(key, 'never');
  }

  override createSignedUrls(keys: readonly string[], seconds: number): readonly string[] {
    return this.urls.urlsFor(keys, seconds);
  }

  /** A disk has no server of its own. */
  override createDirectUrl(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  override async removeUnfinished(olderThanMs: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.incoming)) {
      const path = join(this.incoming, name);
      const stats = await ignoreMissing(lstat(path));
      if (!stats?.isFile() || Date.now() - stats.mtimeMs <= olderThanMs) continue;
      await rm(path, { force: true });
      removed += 1;
    }
    return removed;
  }

  /** Writes, because a full or read-only disk looks healthy to anything less. */
  override async check(): Promise<void> {
    const probe = this.newIncoming();
    try {
      await writeFile(probe, 'probe', { flag: 'wx', mode: FILE_MODE });
    } finally {
      await rm(probe, { force: true });
    }
  }

  private get incoming(): string {
    return join(this.root, INCOMING);
  }

  private newIncoming(): string {
    return join(this.incoming, randomUUID());
  }

  private pathOf(key: string): string {
    assertStorageKey(key);
    return join(this.root, key);
  }

  /** @param write makes the new file and tells its size */
  private async store(key: string, write: (path: string) => Promise<number>): Promise<StoredFile> {
    const target = this.pathOf(key);
    const incoming = this.newIncoming();
    try {
      const bytes = await write(incoming);
      await this.publish(incoming, target);
      return { key, bytes };
    } catch (error) {
      if (await isWritableFolder(this.incoming)) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? 'ENOENT';
      throw new Unavailable('The folder of files is not there, or cannot be written to', code);
    } finally {
      // It is still there after an error, and when it was a second name of the target already.
      await rm(incoming, { force: true });
    }
  }

  private async publish(incoming: string, target: string): Promise<void> {
    const folder = dirname(target);
    for (let attempt = 1; ; attempt++) {
      try {
        await makeFolder(folder);
        await rename(incoming, target);
        break;
      } catch (error) {
        if (!hasCode(error, 'ENOENT') || attempt === PUBLISH_ATTEMPTS) throw error;
      }
    }
    await flushFolder(folder);
  }

  private async openFile(key: string): Promise<FileHandle> {
    const path = this.pathOf(key);
    if (!(await isRealFolder(dirname(path)))) throw new ObjectNotFound(key);
    try {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      // ELOOP is how O_NOFOLLOW refuses a link.
      if (isMissing(error) || hasCode(error, 'ELOOP')) throw new ObjectNotFound(key);
      throw error;
    }
  }

  /** @param folder relative to the root */
  private async *walk(folder: string, prefix: string): AsyncGenerator<ListedObject> {
    const path = join(this.root, folder);
    const entries = (await ignoreMissing(readdir(path, { withFileTypes: true }))) ?? [];
    // With its slash, a folder sorts where its keys do: `a-b/x` comes before `a/x`.
    const keys = entries
      .filter((entry) => entry.isDirectory() || entry.isFile())
      .map((entry) => `${folder}/${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .sort();
    for (const key of keys.filter((key) => key.startsWith(prefix))) {
      if (key.endsWith('/')) {
        yield* this.walk(key.slice(0, -1), prefix);
      } else if (isStorageKey(key)) {
        const stats = await ignoreMissing(lstat(join(this.root, key)));
        if (stats) yield { key, bytes: stats.size, lastModified: stats.mtime };
      }
    }
  }
}

function describe(key: string, { size, mtime }: Stats): ObjectHead {
  return { bytes: size, contentType: contentTypeOf(key), lastModified: mtime };
}
