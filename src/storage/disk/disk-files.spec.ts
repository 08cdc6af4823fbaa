import { existsSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { shareFile } from './disk-files.js';

/** A file system in memory, on Linux. */
const ELSEWHERE = '/dev/shm';
const hasElsewhere = existsSync(ELSEWHERE) && statSync(ELSEWHERE).dev !== statSync(tmpdir()).dev;

let folders: string[];

beforeEach(async () => {
  const parents = hasElsewhere ? [tmpdir(), ELSEWHERE] : [tmpdir()];
  folders = await Promise.all(parents.map((parent) => mkdtemp(join(parent, 'atelier-share-'))));
});
afterEach(async () => {
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
});

describe('a shared file', () => {
  it.each(['with another', 'across file systems'])('has two names, %s', async (where) => {
    const from = join(folders[0]!, 'from');
    const to = join((where === 'with another' ? folders[0] : folders.at(-1))!, 'to');
    await writeFile(from, 'content');
    await shareFile(from, to);
    await rm(from);

    expect(await readFile(to, 'utf8')).toBe('content');
  });

  it('takes no name that is taken, and needs a file', async () => {
    const [from, taken] = ['from', 'taken'].map((name) => join(folders[0]!, name));
    await writeFile(taken!, 'older');
    await expect(shareFile(from!, join(folders[0]!, 'to'))).rejects.toThrow('ENOENT');
    await writeFile(from!, 'content');
    for (const folder of folders) {
      const name = join(folder, 'taken');
      await writeFile(name, 'older');
      await expect(shareFile(from!, name)).rejects.toThrow('EEXIST');
      expect(await readFile(name, 'utf8')).toBe('older');
    }
  });
});
