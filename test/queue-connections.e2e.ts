import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type ConnectionOptions, Queue, setDefaultBackendFactory, Worker } from 'bullmq';
import { createSharingBackend, SharedConnection } from '../src/queue/postgres/shared-connection.js';
import { eventually } from './eventually.js';
import { createDatabase, type TestDatabase } from './test-database.js';

const QUEUES = 10;
const POOL_SIZE = 2;
const NAME = 'a test of queues';

let database: TestDatabase;
const queues: Queue[] = [];
const workers: Worker[] = [];
const done: string[] = [];

beforeAll(async () => {
  database = await createDatabase();
  setDefaultBackendFactory(createSharingBackend);
  const shared = new SharedConnection({
    connectionString: database.appUrl,
    schema: 'bullmq',
    max: POOL_SIZE,
    application_name: NAME,
  });
  const options = { connection: shared as unknown as ConnectionOptions };
  for (let n = 0; n < QUEUES; n += 1) {
    queues.push(new Queue(`queue-${n}`, options));
    workers.push(
      new Worker(
        `queue-${n}`,
        async ({ name }) => {
          done.push(name);
        },
        { ...options, drainDelay: 60 },
      ),
    );
  }
  for (const queue of queues) queue.on('error', () => undefined);
  for (const worker of workers) worker.on('error', () => undefined);
  await Promise.all([...queues, ...workers].map((each) => each.waitUntilReady()));
});

afterAll(() => database.drop());

const connections = () =>
  database.query<{ pid: number; query: string }>(
    'select pid, query from pg_stat_activity where application_name = $1',
    [NAME],
  );

/** Adds a job to every queue. @returns how long it took until all were done, in milliseconds */
async function runOneOfEach(name: string): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(queues.map((queue) => queue.add(name, {})));
  const all = async () => done.filter((each) => each === name).length;
  expect(await eventually(all, (count) => count === QUEUES)).toBe(QUEUES);
  return performance.now() - startedAt;
}

it('ten queues and their workers share one pool and one LISTEN connection', async () => {
  await runOneOfEach('first');
  expect((await connections()).length).toBeLessThanOrEqual(POOL_SIZE + 1);
});

it('all workers hear of new jobs again after the LISTEN connection has broken', async () => {
  const listening = async () =>
    (await connections()).filter(({ query }) => /^\s*(--.*\n\s*)*listen/i.test(query));
  const [before] = await eventually(listening, (rows) => rows.length === 1);
  await database.query('select pg_terminate_backend($1)', [before?.pid]);
  const after = await eventually(
    listening,
    (rows) => rows.length === 1 && rows[0]?.pid !== before?.pid,
  );
  expect(after).toHaveLength(1);
  expect(after[0]?.pid).not.toBe(before?.pid);
  // Long before any of them would have looked for itself.
  expect(await runOneOfEach('second')).toBeLessThan(15_000);
});

it('one that closes leaves the others at work, and the last one closes the connections', async () => {
  const [queue, worker] = [queues.shift(), workers.shift()];
  await worker?.close();
  await queue?.close();
  await queue?.disconnect();
  await Promise.all(queues.map((each) => each.add('third', {})));
  const third = async () => done.filter((each) => each === 'third').length;
  expect(await eventually(third, (count) => count === queues.length)).toBe(queues.length);

  await Promise.all(workers.map((each) => each.close()));
  await Promise.all(queues.map((each) => each.close()));
  expect(await eventually(connections, (rows) => rows.length === 0)).toEqual([]);
});
