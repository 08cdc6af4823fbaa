import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { productVariables } from '../environment.js';
import { eventually } from '../eventually.js';
import { OwnPostgres, type Standby } from '../own-postgres.js';
import { makePicture } from '../pictures.js';
import { ProductProcess } from '../product-process.js';
import { pictureForm, registerAt, uploadTo } from '../product-requests.js';

const CLIENTS = 500;
const LOAD_MS = 15_000;
const POOL_TIMEOUT_MS = 1_500;
const STATEMENT_TIMEOUT_MS = 4_000;
/** An upload asks the pool several times, and this machine is busy. */
const PATIENCE_MS = 3 * POOL_TIMEOUT_MS + STATEMENT_TIMEOUT_MS + 5_000;
const HEALTHY_WITHIN_MS = 5_000;

/** What docs/deploy.md says that each process opens at the most, by the names of its connections. */
const BUDGETS = {
  api: { atelier: 10, 'atelier-queue': 2, 'atelier-listen': 1 },
  // Its queue has one more connection, which hears of jobs.
  worker: { atelier: 10, 'atelier-queue': 3, 'atelier-listen': 1 },
};
/** With a replica: what the API opens on that, and one more connection to the primary. */
const REPLICA_BUDGET = { 'atelier-replica': 10, 'atelier-watch': 1 };
const WATCH_BUDGET = { 'atelier-watch': 1 };
/** By which the server tells the two processes apart. */
const USERS = { api: 'atelier_app', worker: 'atelier_worker' };

interface Answer {
  status: number;
  code: string | undefined;
  retryAfter: string | null;
  ms: number;
}

let postgres: OwnPostgres;
/** Open from the start: later there may be no place for it. */
let observer: pg.Client;
let dataDir: string;
let variables: Record<string, string>;
let api: ProductProcess;
let worker: ProductProcess;
let url: string;
let token: string;
let imageId: string;
let picture: Buffer;

beforeAll(async () => {
  postgres = await OwnPostgres.start({ max_connections: 30 });
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-connections-'));
  await postgres.migrate();
  observer = await observe(postgres);
  variables = {
    ...productVariables(postgres.database(), dataDir),
    LOG_LEVEL: 'fatal',
    DATABASE_POOL_TIMEOUT_MS: String(POOL_TIMEOUT_MS),
    DATABASE_STATEMENT_TIMEOUT_MS: String(STATEMENT_TIMEOUT_MS),
  };
  ({ api, url } = await ProductProcess.startApi(variables));
  worker = await ProductProcess.start('worker', {
    ...variables,
    DATABASE_URL: await makeWorkersUser(),
  });
  picture = await makePicture({ width: 320, height: 240 });
  token = await registerAt(url);
  imageId = await upload();
});

afterAll(async () => {
  await Promise.all([api.stop(), worker.stop(), observer.end()]);
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

/** A connection that takes none of the places that the product may have. */
async function observe(server: OwnPostgres | Standby): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.url('superuser') });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/**
 * Another name for the restricted role, whose every session acts as that role: so what it makes belongs
 * to both.
 *
 * @returns its address
 */
async function makeWorkersUser(): Promise<string> {
  const url = new URL(postgres.url('app'));
  const { api, worker } = USERS;
  expect(url.username).toBe(api);
  await observer.query(`create role ${worker} login password '${url.password}' in role ${api}`);
  await observer.query(`alter role ${worker} set role = '${api}'`);
  url.username = worker;
  return url.href;
}

async function send(method: string, path: string, body?: FormData | object): Promise<Answer> {
  const startedAt = performance.now();
  const isForm = body instanceof FormData;
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body && !isForm && { 'content-type': 'application/json' }),
    },
    ...(body && { body: isForm ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    code: answer.ok || !text ? undefined : JSON.parse(text).code,
    retryAfter: answer.headers.get('retry-after'),
    ms: performance.now() - startedAt,
  };
}

/** Made by the worker while the client waits. */
async function upload(): Promise<string> {
  const answer = await uploadTo(url, token, picture, { waitSeconds: 30 });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { id: string }).id;
}

/** What client number `n` does next: mostly reads, some writes, a few uploads and sign-ins. */
function nextRequest(n: number): Promise<Answer> {
  if (n % 50 === 0) return send('POST', '/api/v1/images/upload?force=true', pictureForm(picture));
  if (n % 25 === 1) {
    return send('POST', '/api/v1/auth/login', { email: 'nobody@example.com', password: 'wrong' });
  }
  if (n % 5 === 2) return send('PATCH', `/api/v1/images/${imageId}`, { title: `by ${n}` });
  if (n % 5 === 3) return send('GET', `/api/v1/images/${imageId}`);
  return send('GET', '/api/v1/images?total=true');
}

async function load(clients: number, milliseconds: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  const until = Date.now() + milliseconds;
  const client = async (_: unknown, n: number): Promise<void> => {
    while (Date.now() < until) answers.push(await nextRequest(n));
  };
  await Promise.all(Array.from({ length: clients }, client));
  return answers;
}

/** Expected answers, and refusals that say what they are; nothing else, and nothing late. */
function expectOrderly(answers: Answer[]): void {
  const strange = answers.filter(({ status, code, retryAfter }) =>
    status === 503
      ? code !== 'unavailable' || !(Number(retryAfter) > 0)
      : ![200, 202].includes(status) && !(status === 401 && code === 'invalid-credentials'),
  );
  expect(strange).toEqual([]);
  expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(PATIENCE_MS);
}

async function expectHealthySoon(): Promise<void> {
  const ready = async () => (await send('GET', '/health/ready')).status;
  expect(await eventually(ready, (status) => status === 200, HEALTHY_WITHIN_MS)).toBe(200);
}

type Counts = Record<string, number>;

/**
 * Looks again and again how many connections each process has.
 *
 * @param through a connection to the server that is looked at
 * @returns a way to end it
 */
function countConnections(through = observer): {
  end: () => Promise<{ api: Counts; worker: Counts }>;
} {
  const over = new AbortController();
  const most: { api: Counts; worker: Counts } = { api: {}, worker: {} };
  const look = async () => {
    const { rows } = await through.query<{
      process: 'api' | 'worker';
      name: string;
      open: number;
    }>(
      `select case usename when $1 then 'api' else 'worker' end as process,
         application_name as name, count(*)::int as open
       from pg_stat_activity where usename in ($1, $2) group by usename, application_name`,
      [USERS.api, USERS.worker],
    );
    for (const { process, name, open } of rows) {
      most[process][name] = Math.max(most[process][name] ?? 0, open);
    }
  };
  const counting = (async () => {
    while (!over.signal.aborted) {
      await look();
      await sleep(50);
    }
  })();
  const end = async () => {
    over.abort();
    await counting;
    return most;
  };
  return { end };
}

/** What a process has opened beyond its budget, or under a name that is not in it. */
function excessOf(most: Counts, budget: Counts): Counts {
  return Object.fromEntries(
    Object.entries(most).filter(([name, open]) => open > (budget[name] ?? 0)),
  );
}

describe('a PostgreSQL of 30 connections', () => {
  it('serves 500 clients or tells them to come back, from a budget that is held', async () => {
    const count = countConnections();
    const answers = await load(CLIENTS, LOAD_MS);
    await expectHealthySoon();
    const most = await count.end();
    expectOrderly(answers);
    const served = answers.filter(({ status }) => status !== 503).length;
    expect(served).toBeGreaterThan(CLIENTS);

    for (const process of ['api', 'worker'] as const) {
      expect(excessOf(most[process], BUDGETS[process])).toEqual({});
    }
    // Else the load was none.
    expect(most.api['atelier']).toBe(BUDGETS.api.atelier);
    await upload();
  });

  it('whose connections others have eaten is told of as unavailable, and works once they are back', async () => {
    const hog = new Hog();
    await hog.eatAll();
    const answers = await load(100, 5_000);
    expectOrderly(answers);
    expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
    expect((await send('GET', '/health')).status).toBe(200);
    expect((await send('GET', '/health/ready')).status).toBe(503);
    await hog.leave();
    await expectHealthySoon();
    await upload();
    expectOrderly(await load(20, 2_000));
  });

  it('that crashes under load is used again as soon as it is back', async () => {
    const answering = load(100, 8_000);
    await sleep(2_000);
    await postgres.crash();
    await expectHealthySoon();
    const answers = await answering;
    expectOrderly(answers);
    expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
    expectOrderly(await load(20, 2_000));
    await upload();
  });

  it('the processes have lived through it', () => {
    expect([api.isRunning, worker.isRunning]).toEqual([true, true]);
  });
});

describe('an API with a replica', () => {
  let standby: Standby;
  let replicaObserver: pg.Client;

  beforeAll(async () => {
    standby = await postgres.replicate();
    replicaObserver = await observe(standby);
    // The last one ended with the crash.
    observer = await observe(postgres);
    await api.stop();
    const DATABASE_REPLICA_URLS = standby.url('app');
    ({ api, url } = await ProductProcess.startApi({ ...variables, DATABASE_REPLICA_URLS }));
  });

  afterAll(async () => {
    await replicaObserver.end();
    await standby.stop();
  });

  it('holds its budget on both servers', async () => {
    const [onPrimary, onReplica] = [countConnections(), countConnections(replicaObserver)];
    expectOrderly(await load(100, 5_000));
    const [primary, read] = [await onPrimary.end(), await onReplica.end()];
    expect(excessOf(primary.api, { ...BUDGETS.api, ...WATCH_BUDGET })).toEqual({});
    expect(primary.api).toMatchObject(WATCH_BUDGET);
    // All of it, or nothing much was read there.
    expect(read.api).toEqual(REPLICA_BUDGET);
  });
});

/** Other programs that take every connection that they can get. */
class Hog {
  private readonly clients: pg.Client[] = [];

  /** Ends those of the product, too, and takes their places. */
  async eatAll(): Promise<void> {
    for (let round = 0; round < 10; round += 1) {
      await observer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where usename in ($1, $2)`,
        [USERS.api, USERS.worker],
      );
      await this.eat();
    }
  }

  async leave(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.end()));
  }

  private async eat(): Promise<void> {
    for (;;) {
      const client = new pg.Client({ connectionString: postgres.url('owner') });
      client.on('error', () => undefined);
      try {
        await client.connect();
      } catch (error) {
        expect((error as { code?: string }).code).toBe('53300');
        return;
      }
      this.clients.push(client);
    }
  }
}
