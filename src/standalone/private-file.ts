import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { CannotStart } from '../core/process/cannot-start.js';

/**
 * Reads a small file that {@link writePrivateJson} wrote.
 *
 * @returns undefined when there is no such file
 * @throws CannotStart when it is not what the schema describes
 */
export function readPrivateJson<T>(path: string, schema: z.ZodType<T>): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
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
  writeFileSync(replacement, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(replacement, path);
  syncDirectory(dirname(path));
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
