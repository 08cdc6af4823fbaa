import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { eventually } from './eventually.js';
import { type Account, type TestingApp } from './testing-app.js';

const ATTEMPTS = convertImage.retry.attempts;

/** A dead letter as the table has it. */
export interface LetterRow {
  id: string;
  row_id: string;
  status: string;
  error: string;
  fingerprint: string;
  retries: number;
}

/**
 * Has the store take no files while something is done: a fault that a later attempt does not meet. A
 * worker that starts meanwhile would mend it.
 */
async function whileStoreIsAway<T>(app: TestingApp, work: () => Promise<T>): Promise<T> {
  const incoming = join(app.variables['DATA_DIR'] ?? '', 'files/.incoming');
  await rename(incoming, `${incoming}-away`);
  try {
    return await work();
  } finally {
    await rename(`${incoming}-away`, incoming);
  }
}

/**
 * Uploads a picture whose conversion is then given up, as if the store had been away for as long as
 * its attempts last. It takes the worker.
 *
 * @returns the dead letter
 */
export async function giveUp(app: TestingApp, as: Account, picture: Buffer): Promise<LetterRow> {
  const id = await failLastAttempt(app, async () => {
    const upload = app.as(as).post('/api/v1/images/upload?force=true');
    const { body } = await upload.attach('image', picture, 'picture.jpg').expect(202);
    return body.id;
  });
  return letterOf(app, id);
}

/**
 * Has the worker wait while work on an image is asked for, then fail with all of its attempts.
 *
 * @param ask gives the id of the image
 */
export async function failLastAttempt(
  app: TestingApp,
  ask: () => Promise<string>,
): Promise<string> {
  const worker = app.worker!;
  worker.signal('SIGSTOP');
  try {
    const id = await ask();
    await spareAttempts(app, id);
    await whileStoreIsAway(app, async () => {
      worker.signal('SIGCONT');
      await letterBecomes(app, id, 'FAILED');
    });
    return id;
  } finally {
    worker.signal('SIGCONT');
  }
}

/** Spares an image all attempts but the last, and the rest before it. */
async function spareAttempts(app: TestingApp, imageId: string): Promise<void> {
  await app.database.query(
    `update images set attempts = greatest(attempts, $2), next_attempt_at = now()
     where id = $1 and next_attempt_at is not null and lease_id is null`,
    [imageId, ATTEMPTS - 1],
  );
}

/** Waits for what becomes of the dead letter of a row. @returns it as it is in the end */
export async function letterBecomes(
  app: TestingApp,
  rowId: string,
  status: string,
): Promise<LetterRow | undefined> {
  return eventually(
    async () => (await lettersOf(app, rowId))[0],
    (letter) => letter?.status === status,
    30_000,
  );
}

/** All dead letters of a row. */
export function lettersOf({ database }: TestingApp, rowId: string): Promise<LetterRow[]> {
  return database.query<LetterRow>('select * from failed_jobs where row_id = $1', [rowId]);
}

/** The one dead letter of a row. */
export async function letterOf(app: TestingApp, rowId: string): Promise<LetterRow> {
  const [letter, ...more] = await lettersOf(app, rowId);
  if (!letter || more.length > 0) throw new Error(`${1 + more.length} dead letters or none`);
  return letter;
}
