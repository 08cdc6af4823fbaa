import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { eventually } from '../eventually.js';
import { type ProductUnderLoad, type Standing } from './product-under-load.js';

const WARM_UP_MS = 2_000;
/** How long the load goes on after the return, in milliseconds. */
const AFTERWARDS_MS = 15_000;
/** How long errors and slow pickups may last after the return, in milliseconds. */
export const SETTLED_AFTER_MS = 10_000;
const FINISHED_AFTER_MS = 60_000;
const PICKUP_MS = 2_000;
/** What a request may take while Redis is away, in milliseconds. */
const ANSWERED_AFTER_MS = 5_000;

/**
 * Faults that no client hears of: all is answered with success, and all is made.
 *
 * @param product gives what is under load, once it is there
 */
export function goUnnoticed(
  product: () => ProductUnderLoad,
  faults: [name: string, fault: () => Promise<void>][],
): void {
  it.each(faults)(
    '%s is noticed by nobody',
    async (_name, fault) => {
      const backAt = await underLoad(product(), fault);
      expectOnlySuccess(product());
      await expectAllWell(product(), backAt);
    },
    120_000,
  );
}

/** Does something to the product under load. @returns when it was over */
export async function underLoad(
  product: ProductUnderLoad,
  fault: () => Promise<void>,
): Promise<number> {
  product.load();
  await sleep(WARM_UP_MS);
  await product.burst();
  await fault();
  const backAt = Date.now();
  await sleep(AFTERWARDS_MS);
  await product.unload();
  return backAt;
}

/** While only Redis is away, nobody notices. */
function expectOnlySuccess({ uploads }: ProductUnderLoad): void {
  expect(uploads.filter(({ status }) => status < 200 || status > 299)).toEqual([]);
  expect(uploads.filter(({ ms }) => ms > ANSWERED_AFTER_MS)).toEqual([]);
}

const isDone = ({ status }: Standing) => status === 'COMPLETED';

/** All that was taken is done in time, once each; nobody died; new work is begun at once. */
export async function expectAllWell(product: ProductUnderLoad, backAt: number): Promise<void> {
  const standings = await eventually(
    () => product.standings(),
    (all) => all.every(isDone),
    FINISHED_AFTER_MS - (Date.now() - backAt),
  );
  expect(standings.filter((each) => !isDone(each))).toEqual([]);
  const taken = product.uploads.filter(({ id }) => id !== undefined).length;
  expect(taken).toBeGreaterThan(50);
  expect(standings).toHaveLength(taken);
  // The original and its three variants: one set of files.
  expect(standings.filter(({ files }) => files !== 4)).toEqual([]);
  expect(await product.deadLetters()).toEqual([]);
  const completed = product.attempts().filter(({ outcome }) => outcome === 'completed');
  expect(new Set(completed.map(({ rowId }) => rowId)).size).toBe(completed.length);
  const pickups = pickupsOf(product, standings);
  const late = pickups.filter(({ takenAt }) => takenAt > backAt + SETTLED_AFTER_MS);
  expect(late.length).toBeGreaterThan(5);
  expect(late.filter(({ ms }) => ms > PICKUP_MS)).toEqual([]);
  for (const each of product.processes) {
    if (!each.isRunning) throw new Error(`A process ended:\n${each.output.slice(-4_000)}`);
  }
}

/** How long each image waited for its first attempt that is known to have ended. */
function pickupsOf(
  product: ProductUnderLoad,
  standings: Standing[],
): { takenAt: number; ms: number }[] {
  const begun = new Map<string, number>();
  for (const { rowId, begunAt } of product.attempts()) {
    begun.set(rowId, Math.min(begunAt, begun.get(rowId) ?? Infinity));
  }
  return standings.flatMap(({ id, takenAt }) => {
    const begunAt = begun.get(id);
    return begunAt === undefined ? [] : [{ takenAt, ms: begunAt - takenAt }];
  });
}
