import { readdir, readlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '@jest/globals';
import { filesSuite } from './files-suite.js';
import type { TestingApp } from './testing-app.js';

function folderOf({ variables }: TestingApp): string {
  return join(variables['DATA_DIR'] ?? '', 'files');
}

describe('on the disk', () => {
  filesSuite(async () => ({
    variables: {},
    openFiles: async (app) => {
      const descriptors = await readdir('/proc/self/fd');
      const targets = await Promise.all(
        descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => '')),
      );
      return targets.filter((target) => target.startsWith(folderOf(app))).length;
    },
    setTime: (app, key, time) => utimes(join(folderOf(app), key), time, time),
    close: async () => undefined,
  }));
});
