import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../eventually.js';
import { describeWith } from '../programs.js';
import { RedisFailover } from '../redis-failover.js';
import { RedisServer } from '../redis-server.js';
import { ProductUnderLoad, type Standing } from './product-under-load.js';

const WARM_UP_MS = 2_000;
/** How long the load goes on after the return, in milliseconds. */
const AFTERWARDS_MS = 15_000;
/** How long errors and slow pickups may last after the return, in milliseconds. */
const SETTLED_AFTER_MS = 10_000;
const FINISHED_AFTER_MS = 60_000;
const PICKUP_MS = 2_000;
/** What a request may take while Redis is away, in milliseconds. */
const ANSWERED_AFTER_MS = 5_000;

let product: ProductUnderLoad;

/** Does something to the product under load. @returns when it was over */
async function underLoad(fault: () => Promise<void>): Promise<number> {
  product.load();
  await sleep(WARM_UP_MS);
  await product.burst();
  await fault();
  const backAt = Date.now();
  await sleep(AFTERWARDS_MS);
  await product.unload();
  return backAt;
}

const isDone = ({ status }: Standing) => status === 'COMPLETED';

/** All that was taken is done in time, once each; nobody died; new work is begun at once. */
async function expectAllWell(backAt: number): Promise<void> {
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
  const pickups = pickupsOf(standings);
  const late = pickups.filter(({ takenAt }) => takenAt > backAt + SETTLED_AFTER_MS);
  expect(late.length).toBeGreaterThan(5);
  expect(late.filter(({ ms }) => ms > PICKUP_MS)).toEqual([]);
  for (const each of product.processes) {
    if (!each.isRunning) throw new Error(`A process ended:\n${each.output.slice(-4_000)}`);
  }
}

/** How long each image waited for its first attempt that is known to have ended. */
function pickupsOf(standings: Standing[]): { takenAt: number; ms: number }[] {
  const begun = new Map<string, number>();
  for (const { rowId, begunAt } of product.attempts()) {
    begun.set(rowId, Math.min(begunAt, begun.get(rowId) ?? Infinity));
  }
  return standings.flatMap(({ id, takenAt }) => {
    const begunAt = begun.get(id);
    return begunAt === undefined ? [] : [{ takenAt, ms: begunAt - takenAt }];
  });
}

/** While only Redis is away, nobody notices. */
function expectOnlySuccess(): void {
  expect(product.uploads.filter(({ status }) => status < 200 || status > 299)).toEqual([]);
  expect(product.uploads.filter(({ ms }) => ms > ANSWERED_AFTER_MS)).toEqual([]);
}

function survivesRestartsOfPostgres(): void {
  it.each([
    ['fast', 0],
    ['immediate', 0],
    ['immediate', 10_000],
  ] as const)(
    'errors of PostgreSQL restarted (%s), and away for %d ms, end with its return',
    async (mode, awayMs) => {
      const backAt = await underLoad(() => product.postgres.restart(mode, awayMs));
      expectPostgresErrorsToEnd(backAt);
      await expectAllWell(backAt);
    },
    120_000,
  );
}

function expectPostgresErrorsToEnd(backAt: number): void {
  const errors = product.uploads.filter(({ status }) => status < 200 || status > 299);
  const unforeseen = errors.filter(({ status }) => status !== 503);
  if (unforeseen[0]) throw new Error(`${unforeseen[0].status}: ${product.errorsOfApi()}`);
  // Each tells clients in the usual shape when to come again.
  const told = errors.map(({ status, type, retryAfter }) => [
    status,
    type?.split(';')[0],
    Number(retryAfter) > 0,
  ]);
  expect(told).toEqual(errors.map(() => [503, 'application/problem+json', true]));
  expect(errors.filter(({ at }) => at > backAt + SETTLED_AFTER_MS)).toEqual([]);
}

/** Faults that no client hears of: all is answered with success, and all is made. */
function goUnnoticed(faults: [name: string, fault: () => Promise<void>][]): void {
  it.each(faults)(
    '%s is noticed by nobody',
    async (_name, fault) => {
      const backAt = await underLoad(fault);
      expectOnlySuccess();
      await expectAllWell(backAt);
    },
    120_000,
  );
}

describeWith('redis-server', 'under load on Redis', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start();
    product = await ProductUnderLoad.start({ REDIS_URL: server.url });
  }, 60_000);

  afterAll(async () => {
    await product.close();
    await server.close();
  });

  const faults: [string, () => Promise<void>][] = [
    [
      'a restart of Redis that keeps its data',
      async () => {
        await server.stop({ keepData: true });
        await server.begin();
      },
    ],
    [
      'a kill -9 of Redis that loses everything',
      async () => {
        await server.kill();
        await server.loseData();
        await server.begin();
      },
    ],
    ['FLUSHALL, three times', () => flushThrice(server)],
    [
      'a Redis that is away for 15 seconds',
      async () => {
        await server.stop();
        await sleep(15_000);
        await server.begin();
      },
    ],
    [
      'a Redis that hangs for 8 seconds',
      async () => {
        server.freeze();
        await sleep(8_000);
        server.thaw();
      },
    ],
  ];

  goUnnoticed(faults);

  survivesRestartsOfPostgres();
});

describeWith('redis-server', 'under load on Redis behind a Sentinel', () => {
  let redis: RedisFailover;

  beforeAll(async () => {
    redis = await RedisFailover.start();
    product = await ProductUnderLoad.start(redis.variables);
  }, 60_000);

  afterAll(async () => {
    await product.close();
    await redis.close();
  });

  goUnnoticed([
    ['a primary that is killed', () => redis.loseThePrimary()],
    ['a primary that hangs and comes back as a replica', () => redis.hangThePrimary()],
    ['a failover that somebody asked for', () => redis.swap()],
  ]);
});

describe('under load on PostgreSQL alone', () => {
  beforeAll(async () => {
    product = await ProductUnderLoad.start({});
  }, 60_000);

  afterAll(() => product.close());

  survivesRestartsOfPostgres();
});

async function flushThrice(server: RedisServer): Promise<void> {
  for (let n = 0; n < 3; n += 1) {
    await server.flush();
    await sleep(300);
  }
}
