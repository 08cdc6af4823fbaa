import { appendFile, readdir, readFile, readlink, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { storedFiles } from './image-requests.js';
import type { Bucket } from './s3/bucket.js';
import { S3Server } from './s3/s3-server.js';
import type { Account, TestingApp } from './testing-app.js';

/** Where the product keeps its files, and what tests have to know of that place. */
export interface KeptFiles {
  readonly variables: Record<string, string>;
  /** How many bytes of an upload in parts may be in memory alone while a request goes on. */
  readonly heldBytes: number;
  /** How many files the API has open. */
  openFiles(app: TestingApp): Promise<number>;
  /** Has a file be stored at another time, in whole seconds. */
  setTime(app: TestingApp, key: string, time: Date): Promise<void>;
  /** Names of everything that belongs to an image. */
  filesOf(app: TestingApp, account: Account, imageId: string): Promise<string[]>;
  /** The ids of unfinished uploads of which there are bytes. */
  unfinished(app: TestingApp): Promise<string[]>;
  /** What has come of an unfinished upload. */
  bytesOf(app: TestingApp, uploadId: string): Promise<Buffer>;
  /** Adds to what has come of an upload, as a process leaves it that is killed just then. */
  addBytes(app: TestingApp, uploadId: string, bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** In the folder of each app. */
export async function keepOnDisk(): Promise<KeptFiles> {
  return {
    variables: {},
    heldBytes: 0,
    openFiles: async (app) => {
      const descriptors = await readdir('/proc/self/fd');
      const targets = await Promise.all(
        descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => '')),
      );
      return targets.filter((target) => target.startsWith(folderOf(app, 'files'))).length;
    },
    setTime: (app, key, time) => utimes(join(folderOf(app, 'files'), key), time, time),
    filesOf: storedFiles,
    unfinished: (app) => readdir(folderOf(app, 'uploads')),
    bytesOf: (app, id) => readFile(join(folderOf(app, 'uploads'), id)),
    addBytes: (app, id, bytes) => appendFile(join(folderOf(app, 'uploads'), id), bytes),
    close: async () => undefined,
  };
}

function folderOf({ variables }: TestingApp, name: 'files' | 'uploads'): string {
  return join(variables['DATA_DIR'] ?? '', name);
}

/** In one bucket for all apps. Lists come in pages. */
export async function keepInBucket(): Promise<KeptFiles> {
  const store = await S3Server.start({ pageSize: 20 });
  const { bucket } = store;
  return {
    variables: store.variables,
    heldBytes: 4 * 1024 * 1024,
    openFiles: async () => store.openRequests,
    setTime: async (_app, key, time) => {
      bucket.get(key).lastModified = time;
    },
    filesOf: async (_app, { userId }, imageId) =>
      bucket
        .keys(`images/${userId}/`)
        .filter((key) => dirname(key).endsWith(imageId))
        .map((key) => basename(key)),
    unfinished: async () => [
      ...new Set(bucket.keys('uploads/').map((key) => key.split('/')[1] ?? '')),
    ],
    bytesOf: async (_app, id) => piecesOf(bucket, id),
    addBytes: async (_app, id, bytes) => {
      const start = String(piecesOf(bucket, id).length).padStart(12, '0');
      bucket.put(`uploads/${id}/${start}.part`, bytes, {});
    },
    close: () => store.close(),
  };
}

/** The pieces of an unfinished upload, one after the other. */
function piecesOf(bucket: Bucket, uploadId: string): Buffer {
  return Buffer.concat(bucket.keys(`uploads/${uploadId}/`).map((key) => bucket.get(key).body));
}
