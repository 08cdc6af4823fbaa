import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { childrenOf, requireProc } from '../../bench/process-usage.js';
import { eventually } from '../eventually.js';
import { ImageHolder, PATIENT } from '../image-holder.js';
import { storedFiles } from '../image-requests.js';
import { makePicture } from '../pictures.js';
import { type ProductProcess } from '../product-process.js';
import { type Account, TestingApp } from '../testing-app.js';
import { duringConversion } from '../under-way.js';
import { acceptPicture, entriesOf, hurryRemovals, leftoversOf, statusesOf } from './conversions.js';

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  requireProc();
  app = await TestingApp.start({
    worker: false,
    variables: { CLEANUP_GRACE_SECONDS: '1', ...PATIENT },
  });
});

afterAll(() => app.close());

/** Unless the worker has heard of a deletion, and ended it. */
function send(signal: 'SIGSTOP' | 'SIGCONT', decoder: number): void {
  try {
    process.kill(decoder, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

describe('a deletion', () => {
  const RACES = 50;

  it('wins against a running conversion, fifty times, and leaves no file after the grace', async () => {
    account = await app.register();
    const worker = await app.startWorker({ LOG_LEVEL: 'info' });
    const picture = await makePicture({ width: 4000, height: 3000 });
    const ids: string[] = [];
    // As many at once as the worker converts: each is begun as soon as it is there.
    const lanes = Array.from({ length: 2 }, async () => {
      while (ids.length < RACES) {
        const n = ids.push('') - 1;
        const afterMs = (n * 7) % 100;
        const conversion = { worker, accept: () => acceptPicture(app, account, picture), afterMs };
        const id =
          n % 2 === 0
            ? await duringConversion(app, conversion, remove)
            : n % 10 === 9
              ? await deleteLongBeforeStoring(conversion)
              : await deleteWhenStored(conversion);
        ids[n] = id;
        await app.as(account).get(`/api/v1/images/${id}`).expect(404);
      }
    });
    await Promise.all(lanes);

    expect(await statusesOf(app, account)).toEqual({});
    // The worker had begun with each of them, and found it gone when it was done.
    const lost = ids.map((rowId) => ({ rowId, outcome: 'lease_lost' }));
    const outcomes = await eventually(
      async () => outcomesOf(worker).filter(({ rowId }) => ids.includes(rowId)),
      (all) => all.length >= RACES,
    );
    expect(outcomes.toSorted(byRow)).toEqual(lost.toSorted(byRow));
    await hurryRemovals(app);
    const files = await eventually(
      () => storedFiles(app, account),
      (names) => names.length === 0,
      30_000,
    );
    expect(files).toEqual([]);
    expect(await leftoversOf(app)).toEqual([]);
    expect(await app.database.query('select 1 from failed_jobs')).toEqual([]);
    expect(await app.database.query('select 1 from image_variants')).toEqual(
      await app.database.query('select 1 from image_variants join images on id = image_id'),
    );
  });

  interface Conversion {
    worker: ProductProcess;
    accept: () => Promise<string>;
  }

  const remove = (id: string) => app.as(account).delete(`/api/v1/images/${id}`).expect(204);

  /** Stops the decoders until the files of the deleted image are gone: one that goes on makes more. */
  async function deleteLongBeforeStoring(conversion: Conversion): Promise<string> {
    const decoders = await eventually(
      async () => childrenOf(conversion.worker.pid),
      (children) => children.length > 0,
    );
    try {
      const id = await duringConversion(app, conversion, async (caught) => {
        for (const decoder of decoders) send('SIGSTOP', decoder);
        await remove(caught);
      });
      const names = await eventually(
        () => filesOf(id),
        (all) => all.length === 0,
      );
      expect(names).toEqual([]);
      return id;
    } finally {
      for (const decoder of decoders) send('SIGCONT', decoder);
    }
  }

  /** Holds the row until all files are stored: the deletion waits for it, and the worker behind it. */
  async function deleteWhenStored(conversion: Conversion): Promise<string> {
    let holder: ImageHolder | undefined;
    let deletion: Promise<unknown> | undefined;
    try {
      const id = await duringConversion(app, conversion, async (caught) => {
        holder = await ImageHolder.hold(app, caught);
        deletion = remove(caught).then();
        await waitingFor(holder.pid, 'delete from images %');
      });
      const names = await eventually(
        () => filesOf(id),
        (all) => all.length === 5,
        60_000,
      );
      expect(names).toHaveLength(5);
      // Who comes when the row has just been let go is served before those who have waited.
      const [{ pid } = { pid: 0 }] = await waitingFor(holder?.pid, 'delete from images %');
      await waitingFor(pid, 'select % for update');
      return id;
    } finally {
      await holder?.release();
      await deletion;
    }
  }

  /** The upload, and what was made of it. */
  async function filesOf(id: string): Promise<string[]> {
    // A folder goes with the last file in it, perhaps between two looks.
    const folders = await entriesOf(app, `files/images/${account.userId}`).catch(() => []);
    const folder = folders.find((path) => path.endsWith(id));
    return folder === undefined ? [] : readdir(folder).catch(() => []);
  }

  /** Waits until such a statement waits for a connection. @returns the connection that it is on */
  async function waitingFor(pid: number | undefined, statement: string) {
    const waiting = await eventually(
      () =>
        app.database.query<{ pid: number }>(
          `select pid from pg_stat_activity
           where $1 = any(pg_blocking_pids(pid)) and query like $2`,
          [pid, statement],
        ),
      (rows) => rows.length > 0,
    );
    expect(waiting).toHaveLength(1);
    return waiting;
  }

  interface Outcome {
    rowId: string;
    outcome: string;
  }

  /** What the worker logged about the ends of its attempts. */
  function outcomesOf({ output }: ProductProcess): Outcome[] {
    return output
      .split('\n')
      .filter((line) => line.includes('"Attempt over"'))
      .map((line) => JSON.parse(line) as Outcome)
      .map(({ rowId, outcome }) => ({ rowId, outcome }));
  }

  const byRow = (a: Outcome, b: Outcome) => (a.rowId < b.rowId ? -1 : 1);
});
