import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './eventually.js';
import { type ProductProcess } from './product-process.js';
import { type TestingApp } from './testing-app.js';

/** How many conversions may be over before they are caught: a machine that is busy misses some. */
const TRIES = 10;
/** By when the database has done what a worker told it before it was stopped, in milliseconds. */
const SETTLED_AFTER_MS = 200;

/** How many have stopped a worker: the last of them lets it go on. */
const stops = new Map<ProductProcess, number>();

interface UnderWay {
  worker: ProductProcess;
  /** Uploads a picture for it. @returns the id of the image */
  accept: () => Promise<string>;
  /** How long the conversion goes on after it was seen to have begun, in milliseconds. */
  afterMs?: number;
}

/**
 * Stops a worker in the middle of a conversion while something is done: whatever that takes, the
 * conversion is not completed before. One that was over already is followed by another.
 *
 * @returns the id of the image
 */
export async function duringConversion(
  app: TestingApp,
  { worker, accept, afterMs = 0 }: UnderWay,
  act: (id: string) => Promise<unknown>,
): Promise<string> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const id = await accept();
    await eventually(
      () => app.database.query('select 1 from images where id = $1 and attempts > 0', [id]),
      (rows) => rows.length > 0,
    );
    await sleep(afterMs);
    const isCaught = await whileStopped(worker, async () => {
      await sleep(SETTLED_AFTER_MS);
      if (!(await isUnderWay(app, id))) return false;
      await act(id);
      return true;
    });
    if (isCaught) return id;
  }
  throw new Error(`${TRIES} conversions were over before they could be caught`);
}

/** A process does nothing at all while something is done. Its children go on. */
async function whileStopped<T>(worker: ProductProcess, act: () => Promise<T>): Promise<T> {
  stops.set(worker, (stops.get(worker) ?? 0) + 1);
  worker.signal('SIGSTOP');
  try {
    return await act();
  } finally {
    const left = (stops.get(worker) ?? 1) - 1;
    stops.set(worker, left);
    if (left === 0) worker.signal('SIGCONT');
  }
}

/** Not when the worker was stopped while it held the row: it may be completing it. */
async function isUnderWay(app: TestingApp, id: string): Promise<boolean> {
  const rows = await app.database.query(
    `select 1 from images where id = $1 and status = 'PROCESSING' and lease_id is not null
     for update skip locked`,
    [id],
  );
  return rows.length > 0;
}
