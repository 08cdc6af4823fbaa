import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, type TestingApp } from '../testing-app.js';

/** How the work on an image stands, as its row tells. */
export interface Work {
  status: string;
  attempts: number;
  error_code: string | null;
}

/** Uploads a picture for a worker to convert. @returns the id of the image */
export async function acceptPicture(app: TestingApp, as: Account, file: Buffer): Promise<string> {
  const request = app.as(as).post('/api/v1/images/upload?force=true');
  const { body } = await request.attach('image', file, 'x').expect(202);
  return body.id;
}

/** Undefined when the image was deleted. */
export async function workOf(app: TestingApp, id: string): Promise<Work | undefined> {
  const [row] = await app.database.query<Work & Record<string, unknown>>(
    'select status, attempts, error_code from images where id = $1',
    [id],
  );
  return row;
}

/** How many images of an account are in each status. */
export async function statusesOf(
  app: TestingApp,
  { userId }: Account,
): Promise<Record<string, number>> {
  const rows = await app.database.query<{ status: string; count: number }>(
    'select status, count(*)::int as count from images where user_id = $1 group by status',
    [userId],
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

export function isOver(counts: Record<string, number>): boolean {
  return !counts['PENDING'] && !counts['PROCESSING'];
}

/** The paths of what lies in a folder of the product's data. */
export async function entriesOf(app: TestingApp, folder: string): Promise<string[]> {
  const path = join(app.variables['DATA_DIR'] ?? '', folder);
  return (await readdir(path)).map((name) => join(path, name));
}

/** Files that never became whole, and the folders that pictures are decoded in. */
export async function leftoversOf(app: TestingApp): Promise<string[]> {
  const folders = ['files/.incoming', 'work'];
  const entries = await Promise.all(folders.map((folder) => entriesOf(app, folder)));
  return entries.flat();
}

/** Lets what was written down for removal go now: what attempts left behind, they would in minutes. */
export async function hurryRemovals(app: TestingApp): Promise<void> {
  await app.database.query('update file_removals set due_at = now()');
}
