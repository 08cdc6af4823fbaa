import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { Response } from 'supertest';
import { FileNames } from '../src/images/conversion/file-names.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

/** The product, somebody, somebody else, and a picture to upload. */
export async function startWithPicture() {
  const app = await TestingApp.start();
  const [owner, stranger] = await Promise.all([app.register(), app.register()]);
  const picture = await makePicture({ width: 3000, height: 2000 });
  return { app, owner, stranger, picture };
}

/**
 * Uploads and waits until the image is final. The same file becomes another image each time: what
 * is done with equal files has tests of its own.
 */
export async function uploadPicture(
  app: TestingApp,
  as: Account,
  file: Buffer,
  fields: Record<string, string> = {},
): Promise<Response> {
  const request = app.as(as).post('/api/v1/images/upload?force=true').set('prefer', 'wait=30');
  return request.field(fields).attach('image', file, 'picture.jpg');
}

/** Names of everything in storage that belongs to an account, or to one image of it. */
export async function storedFiles(
  app: TestingApp,
  account: Account,
  imageId = '',
): Promise<string[]> {
  const folder = join(app.variables['DATA_DIR'] ?? '', 'files/images', account.userId);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && entry.parentPath.endsWith(imageId))
    .map((entry) => entry.name);
}

/** What is written down for removal of an account's files. */
export async function removalsOf({ database }: TestingApp, { userId }: Account) {
  return database.query<{ target: string; seconds: string }>(
    `select target, extract(epoch from due_at - now()) as seconds from file_removals
     where target like $1`,
    [`images/${userId}/%`],
  );
}

/** The names without what nobody can guess of them. */
export function plainNames(names: string[]): string[] {
  return names.map((name) => name.replace(/-[0-9a-f]{32}\./, '.')).sort();
}

/** How a product with these variables names files. */
export function fileNamesOf(variables: Record<string, string>): FileNames {
  return new FileNames({ APP_SECRET: variables['APP_SECRET'] ?? '' });
}

/** Has every upload of an account wait before its row is committed, while something is done. */
export async function holdingAccount(
  app: TestingApp,
  { userId }: Account,
  work: () => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: app.database.ownerUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query('select 1 from users where id = $1 for update', [userId]);
    await work();
  } finally {
    await client.end();
  }
}
