import { constants, createWriteStream } from 'node:fs';
import { access, copyFile, link, mkdir, open, realpath, rmdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FOLDER_MODE } from '../../core/process/data-folder.js';

/** Files for their owner alone. */
export const FILE_MODE = 0o600;

/**
 * Writes a new file and flushes it. Nothing is awaited before the pipeline listens to the stream: an
 * error that came earlier would end the process.
 *
 * @returns its size in bytes
 */
export async function writeFlushed(
  path: string,
  stream: Readable,
  signal?: AbortSignal,
): Promise<number> {
  const file = createWriteStream(path, { flags: 'wx', mode: FILE_MODE, flush: true });
  const closed = new Promise<void>((resolve) => file.once('close', resolve));
  try {
    await pipeline(stream, file, { signal });
  } finally {
    // A stream's error rejects the pipeline while the file may still be opening: removed before
    // that, it would come back.
    file.destroy();
    await closed;
  }
  signal?.throwIfAborted();
  return file.bytesWritten;
}

/**
 * Gives a file a second name, or copies it to that where the file system cannot. Streams that copy
 * pictures took a quarter of the worker's CPU.
 */
export async function shareFile(path: string, name: string): Promise<void> {
  try {
    await link(path, name);
  } catch (error) {
    // Missing files and taken names would stop a copy just as well.
    if (hasCode(error, 'ENOENT') || hasCode(error, 'EEXIST')) throw error;
    await copyFile(path, name, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
}

/** Makes the content of a file durable, for its owner alone. @returns its size in bytes */
export async function flushFile(path: string): Promise<number> {
  const file = await open(path, 'r+');
  try {
    await file.chmod(FILE_MODE);
    await file.sync();
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

/** Makes names that were added to a folder durable, as flushing a file does for its content. */
export async function flushFolder(folder: string): Promise<void> {
  const handle = await ignoreMissing(open(folder, 'r'));
  // Without a folder there is no name to keep: a parallel delete was faster.
  if (!handle) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** False when it is missing or a link is among its ancestors. */
export async function isRealFolder(folder: string): Promise<boolean> {
  return (await ignoreMissing(realpath(folder))) === folder;
}

/** False when it is missing, or a disk has gone away or become read-only below it. */
export async function isWritableFolder(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Level by level, so that a link on the way is found before anything is made behind it. */
export async function makeFolder(folder: string): Promise<void> {
  const real = await ignoreMissing(realpath(folder));
  if (real === folder) return;
  if (real !== undefined) throw new Error(`${folder} lies behind a symbolic link`);
  const parent = dirname(folder);
  await makeFolder(parent);
  await mkdir(folder, { mode: FOLDER_MODE }).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error;
  });
  await flushFolder(parent);
}

/**
 * Removes a folder that became empty, and those above it that did so by this, up to the root. rmdir
 * itself refuses the others, so no check can be late.
 */
export async function removeEmptyFolders(folder: string, root: string): Promise<void> {
  for (let empty = folder; empty !== root; empty = dirname(empty)) {
    try {
      await rmdir(empty);
    } catch {
      return;
    }
  }
}

/** Undefined for what is not there. */
export async function ignoreMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whether a path leads nowhere; below a file, which is no folder, there is nothing either. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR');
}

/** Whether Node says so of a call to the system, as in `ENOENT`. */
export function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code;
}
