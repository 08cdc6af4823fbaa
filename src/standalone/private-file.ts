import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { CannotStart } from '../core/process/cannot-start.js';

/** That users other than the owner and the group may write. */
export const OTHERS_WRITE = 0o002;

/**
 * Reads a small file that {@link writePrivateJson} wrote.
 *
 * @returns undefined when there is no such file
 * @throws CannotStart when it is not what the schema describes, or others could have written it
 */
export function readPrivateJson<T>(path: string, schema: z.ZodType<T>): T | undefined {
  let text: string;
  try {
    requireOwn(path);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (error instanceof CannotStart) throw error;
    throw new CannotStart(`${path} cannot be read: ${(error as Error).message}`);
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new CannotStart(
      `${path} is damaged: restore it from a backup, or remove it to start anew`,
    );
  }
}

/** Replaces a file that only its owner may read, wholly or, if power fails, not at all. */
export function writePrivateJson(path: string, value: unknown): void {
  const replacement = `${path}.new`;
  // Of a process that ended half way; or a link that somebody else has put there.
  rmSync(replacement, { force: true });
  const text = `${JSON.stringify(value, null, 2)}\n`;
  writeFileSync(replacement, text, { mode: 0o600, flag: 'wx', flush: true });
  renameSync(replacement, path);
  syncDirectory(dirname(path));
}

/** What somebody else has made, or may write, holds what they like. @throws CannotStart */
function requireOwn(path: string): void {
  const facts = lstatSync(path);
  if (facts.isFile() && isOurs(facts) && (facts.mode & OTHERS_WRITE) === 0) return;
  throw new CannotStart(`${path} is not a file that this user alone can write: remove it`);
}

/** Whether it belongs to this user, or to root, who can do what they like anyway. */
export function isOurs({ uid }: { uid: number }): boolean {
  return uid === 0 || process.getuid === undefined || uid === process.getuid();
}

/** Makes a rename in a directory outlive a power failure. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
