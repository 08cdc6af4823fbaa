import { readdir, readlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { S3Server } from './s3/s3-server.js';
import type { TestingApp } from './testing-app.js';

/** Where the product keeps its files, and what tests have to know of that place. */
export interface KeptFiles {
  readonly variables: Record<string, string>;
  /** How many files the API has open. */
  openFiles(app: TestingApp): Promise<number>;
  /** Has a file be stored at another time, in whole seconds. */
  setTime(app: TestingApp, key: string, time: Date): Promise<void>;
  close(): Promise<void>;
}

/** In the folder of each app. */
export async function keepOnDisk(): Promise<KeptFiles> {
  return {
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
  };
}

function folderOf({ variables }: TestingApp): string {
  return join(variables['DATA_DIR'] ?? '', 'files');
}

/** In one bucket for all apps. Lists come in pages. */
export async function keepInBucket(): Promise<KeptFiles> {
  const store = await S3Server.start({ pageSize: 20 });
  return {
    variables: store.variables,
    openFiles: async () => store.openRequests,
    setTime: async (_app, key, time) => {
      store.bucket.get(key).lastModified = time;
    },
    close: () => store.close(),
  };
}
