import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileUrlSigner } from '../src/storage/signed-url.js';
import type { TestingApp } from './testing-app.js';

/**
 * Writes noise of so many bytes to where an app keeps its files on the disk.
 *
 * @returns the path of a signed link to it, which never ends
 */
export async function writeServedFile(
  { app, variables }: TestingApp,
  name: string,
  bytes: number,
): Promise<string> {
  const key = `images/someone/1-${name}/large-1.webp`;
  const path = join(variables['DATA_DIR'] ?? '', 'files', key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, randomBytes(bytes));
  const { pathname, search } = new URL(app.get(FileUrlSigner).url(key, 'never'));
  return pathname + search;
}
