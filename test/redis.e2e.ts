import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { freePort } from './free-port.js';
import { environment, productVariables } from './environment.js';
import { eventually } from './eventually.js';
import { settleMail } from './recovery-mail.js';
import { Exposition } from './exposition.js';
import { ImageHolder, PATIENT } from './image-holder.js';
import { uploadPicture } from './image-requests.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { describeWith } from './programs.js';
import { readiness } from './readiness.js';
import { RedisServer } from './redis-server.js';
import { TcpProxy } from './tcp-proxy.js';
import { type Account, TestingApp } from './testing-app.js';

/** For what waits for nobody, in milliseconds. A stop that waits for Redis is cut after twelve seconds. */
const AT_ONCE_MS = 6_000;
const PASSWORD = 'p@ss/word: with what URLs escape';

let picture: Buffer;
let dataDir: string;
const servers: RedisServer[] = [];
const running: ProductProcess[] = [];

beforeAll(async () => {
  picture = await makePicture();
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-on-redis-'));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.kill()));
  await Promise.all(servers.splice(0).map((each) => each.close()));
});

afterAll(() => rm(dataDir, { recursive: true }));

async function startRedis(options?: Parameters<typeof RedisServer.start>[0]): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  servers.push(server);
  return server;
}

async function withApp(
  variables: Record<string, string>,
  work: (app: TestingApp, account: Account) => Promise<void>,
): Promise<void> {
  const app = await TestingApp.start({ variables });
  try {
    await work(app, await app.register());
  } finally {
    await app.close();
  }
}

/** Waits for what the API says of the queue. @returns what it says in the end */
function queueBecomes(app: TestingApp, expected: string): Promise<string | undefined> {
  const queue = async () => (await readiness(app.url, 200)).checks?.['queue'];
  return eventually(queue, (state) => state === expected);
}

/** Uploads without waiting. @returns the id of the image */
async function accept(app: TestingApp, as: Account): Promise<string> {
  const request = app.as(as).post('/api/v1/images/upload?force=true');
  const { body } = await request.attach('image', picture, 'x').expect(202);
  return body.id;
}

async function untilCompleted(app: TestingApp, as: Account, id: string): Promise<void> {
  const answer = await eventually(
    () => app.as(as).get(`/api/v1/images/${id}`),
    ({ body }) => body.status === 'COMPLETED',
    20_000,
  );
  expect(answer.body.status).toBe('COMPLETED');
}

describeWith('redis-server', 'the product on Redis', () => {
  const kinds: [string, () => Promise<Record<string, string>>][] = [
    [
      'with a password and the number of a database in its URL',
      async () => ({ REDIS_URL: `${(await startRedis({ password: PASSWORD })).url}/3` }),
    ],
    [
      'by its host, over TLS, with a certificate of a private authority',
      async () => {
        const { port, caFile } = await startRedis({ tls: true, password: PASSWORD });
        return {
          REDIS_HOST: '127.0.0.1',
          REDIS_PORT: String(port),
          REDIS_PASSWORD: PASSWORD,
          REDIS_TLS: 'true',
          REDIS_CA_FILE: caFile,
        };
      },
    ],
    [
      'that is a Cluster',
      async () => {
        const { port } = await startRedis({ cluster: true });
        return { REDIS_HOST: `127.0.0.1:${port}`, REDIS_CLUSTER: 'true' };
      },
    ],
    [
      'behind Sentinels, of which one is away',
      async () => {
        const sentinel = await startRedis({ sentinelOf: await startRedis() });
        return {
          REDIS_HOST: `127.0.0.1:1,127.0.0.1:${sentinel.port}`,
          REDIS_SENTINEL_NAME: 'primary',
        };
      },
    ],
  ];

  it.each(kinds)('works on one %s', async (_name, start) => {
    const variables = await start();
    await withApp({ ...variables, REDIS_PREFIX: 'one-of-two' }, async (app, account) => {
      expect((await uploadPicture(app, account, picture)).status).toBe(201);
      const { body } = await app.http.get('/health/capabilities').expect(200);
      expect(body.capabilities).toContainEqual({
        part: 'queue',
        driver: 'bullmq-redis',
        embedded: false,
      });
      const sessions = await app.database.query(
        `select 1 from pg_stat_activity where datname = current_database()
           and (application_name like '%queue%' or query like '%bullmq%') and pid <> pg_backend_pid()`,
      );
      expect(sessions).toEqual([]);
    });
  });

  it('keeps to keys with its prefix', async () => {
    const redis = await startRedis();
    await withApp({ REDIS_URL: redis.url, REDIS_PREFIX: 'one-of-two' }, async (app, account) => {
      await uploadPicture(app, account, picture);
      const keys = await redis.ask((client) => client.keys('*'));
      expect(keys.length).toBeGreaterThan(0);
      expect(keys.filter((key) => !key.startsWith('one-of-two:'))).toEqual([]);
    });
  });

  it('follows its name to another server, when the one before takes no more writes', async () => {
    const old = await startRedis();
    const target = { host: '127.0.0.1', port: old.port };
    const name = await TcpProxy.to(target);
    try {
      await withApp({ REDIS_URL: `redis://127.0.0.1:${name.port}` }, async (app, account) => {
        expect((await uploadPicture(app, account, picture)).status).toBe(201);
        // As providers do it: the name leads elsewhere, and connections to the old primary stay.
        const { port } = await startRedis();
        target.port = port;
        await old.ask((client) => client.replicaof('127.0.0.1', port));
        await untilCompleted(app, account, await accept(app, account));
      });
    } finally {
      await name.close();
    }
  });

  it('tells how many jobs wait', async () => {
    const redis = await startRedis();
    const port = String(await freePort());
    const variables = { REDIS_URL: redis.url, WORKER_METRICS_PORT: port, ...PATIENT };
    await withApp(variables, async (app, account) => {
      await app.worker?.stop();
      const ids: string[] = [];
      for (let each = 0; each < 3; each += 1) ids.push(await accept(app, account));
      // The worker cannot lease what it has taken off the queue, so it takes no more.
      const holder = await ImageHolder.hold(app);
      await app.startWorker({ IMAGE_CONCURRENCY: '1' });
      const depth = async () => {
        const seen = await Exposition.of(`http://127.0.0.1:${port}`);
        return seen.value('atelier_queue_depth', { type: convertImage.name });
      };
      expect(await eventually(depth, (waiting) => waiting === 2)).toBe(2);
      await holder.release();
      for (const id of ids) await untilCompleted(app, account, id);
      expect(await eventually(depth, (waiting) => waiting === 0)).toBe(0);
    });
  });

  it('warns of a Redis that may throw jobs away', async () => {
    const redis = await startRedis({ settings: { 'maxmemory-policy': 'allkeys-lru' } });
    await withApp({ REDIS_URL: redis.url }, async (app) => {
      const line = await app.worker?.tells('maxmemory-policy');
      expect(line).toMatch(/maxmemory-policy allkeys-lru.*noeviction/);
    });
  });

  it('starts without Redis and takes uploads, which are made when it comes', async () => {
    const redis = await startRedis();
    await redis.stop();
    await withApp({ REDIS_URL: redis.url }, async (app, account) => {
      // It tells of the outage in its log, and in no other way.
      await app.worker?.tells('The connection to the queue reports an error');
      const lines = app.worker?.output.trim().split('\n') ?? [];
      expect(lines.filter((line) => !line.startsWith('{'))).toEqual([]);
      const { checks } = await readiness(app.url, 200);
      expect(checks).toMatchObject({ database: 'ok', queue: 'unavailable' });
      const askedAt = performance.now();
      const id = await accept(app, account);
      expect(performance.now() - askedAt).toBeLessThan(AT_ONCE_MS);
      await redis.begin();
      await untilCompleted(app, account, id);
      expect(await queueBecomes(app, 'ok')).toBe('ok');
    });
  });

  describe.each([
    ['Redis', {}, 'REDIS_URL'],
    ['a Cluster', { cluster: true }, 'REDIS_HOST'],
  ] as const)('whose worker has %s', (_name, options, variable) => {
    const variablesFor = ({ url, port }: RedisServer): Record<string, string> =>
      variable === 'REDIS_URL'
        ? { REDIS_URL: url }
        : { REDIS_HOST: `127.0.0.1:${port}`, REDIS_CLUSTER: 'true' };

    it('stops as soon as ever when that is away', async () => {
      const redis = await startRedis(options);
      await withApp(variablesFor(redis), async (app) => {
        const { worker } = app;
        // A worker that is in the middle of something waits for the queue to hear that it is done.
        await settleMail(app);
        await redis.stop();
        await worker?.tells('The connection to the queue reports an error');
        const askedAt = performance.now();
        expect(await worker?.stop()).toBe(0);
        expect(performance.now() - askedAt).toBeLessThan(AT_ONCE_MS);
      });
    });

    it('stops as soon as ever when that never came', async () => {
      const redis = await startRedis(options);
      await redis.stop();
      await withApp(variablesFor(redis), async ({ worker }) => {
        const askedAt = performance.now();
        expect(await worker?.stop()).toBe(0);
        expect(performance.now() - askedAt).toBeLessThan(AT_ONCE_MS);
      });
    });
  });

  it('says that a Redis which is full takes nothing, and takes uploads all the same', async () => {
    const redis = await startRedis();
    const port = String(await freePort());
    await withApp({ REDIS_URL: redis.url, WORKER_METRICS_PORT: port }, async (app, account) => {
      const workerUrl = `http://127.0.0.1:${port}`;
      await readiness(workerUrl, 200);
      expect(await queueBecomes(app, 'ok')).toBe('ok');
      await redis.limitMemory('1b');
      await readiness(workerUrl, 503);
      expect(await queueBecomes(app, 'unavailable')).toBe('unavailable');
      const id = await accept(app, account);
      // What the alert AtelierReconcilerFails goes by.
      const failed = { sweep: 'due rows of image-conversion', outcome: 'failed' };
      const failures = async () => {
        const seen = await Exposition.of(workerUrl);
        return seen.value('atelier_reconciler_runs_total', failed) ?? 0;
      };
      expect(await eventually(failures, (count) => count > 1)).toBeGreaterThan(1);
      await redis.limitMemory('0');
      await readiness(workerUrl, 200);
      expect(await queueBecomes(app, 'ok')).toBe('ok');
      await untilCompleted(app, account, id);
    });
  });

  it('keeps no request waiting for a Redis that hangs', async () => {
    const redis = await startRedis();
    await withApp({ REDIS_URL: redis.url }, async (app, account) => {
      redis.freeze();
      const askedAt = performance.now();
      const ids = await Promise.all([accept(app, account), accept(app, account)]);
      expect(performance.now() - askedAt).toBeLessThan(6_000);
      redis.thaw();
      for (const id of ids) await untilCompleted(app, account, id);
    });
  });
});

describeWith('redis-server', 'a Redis that is not what the environment says', () => {
  async function expectNoStart(variables: Record<string, string>, message: RegExp): Promise<void> {
    const child = ProductProcess.spawn('main', {
      ...productVariables(environment(), dataDir),
      PORT: '0',
      ...variables,
    });
    running.push(child);
    expect(await child.ended()).toBe(1);
    expect(child.output).toMatch(message);
    expect(child.output).not.toMatch(/ {4}at |hunter2/);
  }

  it('keeps the product from starting, and is told by the name of the variable', async () => {
    const redis = await startRedis({ password: PASSWORD });
    const { url } = redis;
    await expectNoStart({ REDIS_URL: `redis://127.0.0.1:${redis.port}` }, /REDIS_URL/);
    await expectNoStart({ REDIS_URL: `redis://:hunter2@127.0.0.1:${redis.port}` }, /REDIS_URL/);
    await expectNoStart(
      { REDIS_HOST: '127.0.0.1', REDIS_PORT: String(redis.port), REDIS_PASSWORD: 'hunter2' },
      /REDIS_PASSWORD/,
    );
    await expectNoStart({ REDIS_URL: `${url}/99` }, /number in REDIS_URL/);
    await expectNoStart({ REDIS_URL: url, REDIS_CLUSTER: 'true' }, /REDIS_CLUSTER must not/);
  });

  it('is not trusted with a certificate that nobody known has signed', async () => {
    const { url, folder } = await startRedis({ tls: true });
    await expectNoStart({ REDIS_URL: url }, /REDIS_CA_FILE/);
    const none = join(folder, 'none.pem');
    await expectNoStart({ REDIS_URL: url, REDIS_CA_FILE: none }, /REDIS_CA_FILE .*ENOENT/);
    await writeFile(none, 'hunter2');
    await expectNoStart({ REDIS_URL: url, REDIS_CA_FILE: none }, /REDIS_CA_FILE/);
  });

  it('is told when it is a Cluster', async () => {
    const { url } = await startRedis({ cluster: true });
    await expectNoStart({ REDIS_URL: url }, /REDIS_CLUSTER=true/);
  });
});

describe('half a Redis', () => {
  it('keeps the product from starting', async () => {
    const child = ProductProcess.spawn('worker', {
      ...productVariables(environment(), dataDir),
      REDIS_PORT: '6379',
    });
    running.push(child);
    expect([await child.ended(), child.output]).toEqual([
      1,
      expect.stringContaining('REDIS_PORT is of no use without REDIS_URL or REDIS_HOST'),
    ]);
  });
});
