import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from './free-port.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { statusOf } from './status-of.js';
import { createDatabase } from './test-database.js';
import { type Account, TestingApp } from './testing-app.js';

/** A store that nobody asks before the folders are there. */
const BUCKET = {
  S3_BUCKET: 'nothing',
  S3_ENDPOINT: 'http://127.0.0.1:1',
  S3_ACCESS_KEY_ID: 'x',
  S3_SECRET_ACCESS_KEY: 'x',
};

/** More than a worker has done or in hand when its third is seen to be done. */
const PICTURES = 12;

let app: TestingApp;
let account: Account;
let picture: Buffer;
const running: ProductProcess[] = [];

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  picture = await makePicture({ width: 4000, height: 3000 });
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.kill()));
});

afterAll(() => app.close());

/** Runs an entry point with variables that should keep it from starting. */
async function failToStart(entry: string, changes: Record<string, string>) {
  const startedAt = performance.now();
  const child = ProductProcess.spawn(entry, { ...app.variables, ...changes });
  running.push(child);
  const code = await child.ended();
  return { code, output: child.output, ms: performance.now() - startedAt };
}

describe('a mistake in the configuration', () => {
  const strong = 'q8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-A';
  it.each([
    ['main', { DATABASE_URL: '' }, 'DATABASE_URL'],
    ['worker', { DATABASE_URL: 'mysql://user:hunter2@localhost/x' }, 'DATABASE_URL'],
    ['migrate', { APP_SECRET: 'hunter2' }, 'APP_SECRET'],
    ['main', { DATABASE_REPLICA_URLS: 'postgres://a/b,hunter2' }, 'DATABASE_REPLICA_URLS'],
    ['main', { PORT: 'hunter2' }, 'PORT'],
    ['main', { CORS_ORIGINS: 'hunter2' }, 'CORS_ORIGINS'],
    ['main', { TRUST_PROXY: 'hunter2' }, 'TRUST_PROXY'],
    [
      'main',
      { NODE_ENV: 'production', JWT_SECRET: 'hunter2'.repeat(9), APP_SECRET: strong },
      'JWT_SECRET',
    ],
    ['worker', { NODE_ENV: 'production', JWT_SECRET: strong, APP_SECRET: strong }, 'JWT_SECRET'],
    ['main', { NODE_ENV: 'production', RATE_LIMITS: 'off' }, 'RATE_LIMITS'],
    ['main', { SHUTDOWN_LEAVE_MS: '5000', SHUTDOWN_TIMEOUT_MS: '5000' }, 'SHUTDOWN_LEAVE_MS'],
  ])(
    'stops %s with %j within 5 seconds, naming the variable and not its value',
    async (entry, changes, name) => {
      let fastest = Infinity;
      // A machine that stands still for a moment says nothing about the product.
      for (let tries = 0; tries < 3 && fastest >= 5_000; tries += 1) {
        const { code, output, ms } = await failToStart(entry, changes);
        expect(code).toBe(1);
        expect(output).toContain(name);
        expect(output).not.toMatch(/hunter2|q8Zt2/);
        expect(output).not.toContain('    at ');
        fastest = Math.min(fastest, ms);
      }
      expect(fastest).toBeLessThan(5_000);
    },
  );
});

describe('an address that cannot be listened on', () => {
  const inPlainWords = ({ code, output }: { code: number | null; output: string }) => {
    expect([code, output]).toEqual([1, expect.not.stringContaining('    at ')]);
    return output;
  };

  it.each([
    ['main', 'PORT'],
    ['worker', 'WORKER_METRICS_PORT'],
  ])('stops %s, naming HOST and %s', async (entry, name) => {
    const { port } = new URL(app.url);
    const taken = inPlainWords(await failToStart(entry, { [name]: port }));
    expect(taken).toContain(`HOST 127.0.0.1, ${name} ${port}: listen EADDRINUSE`);
    const nowhere = inPlainWords(await failToStart(entry, { HOST: '999.1.1.1' }));
    expect(nowhere).toMatch(new RegExp(`HOST 999\\.1\\.1\\.1, ${name} \\d+: `));
  });
});

describe('a DATA_DIR that is a file', () => {
  it.each([
    ['main', {}],
    ['worker', {}],
    ['worker', BUCKET],
  ])('stops %s with %j in plain words', async (entry, variables) => {
    const DATA_DIR = join(app.variables['DATA_DIR'] ?? '', 'file');
    await writeFile(DATA_DIR, '');
    const { code, output } = await failToStart(entry, { ...variables, PORT: '0', DATA_DIR });
    expect([code, output]).toEqual([1, expect.stringContaining('DATA_DIR ')]);
    expect(output).toMatch(/ENOTDIR|EEXIST/);
    expect(output).not.toContain('    at ');
  });
});

describe('a database that is not there, or not migrated', () => {
  it.each(['main', 'worker'])('keeps %s from starting, in plain words', async (entry) => {
    const empty = await createDatabase('empty');
    try {
      const unmigrated = await failToStart(entry, { DATABASE_URL: empty.appUrl });
      expect([unmigrated.code, unmigrated.output]).toEqual([
        1,
        expect.stringContaining('npm run migrate'),
      ]);
      const absent = await failToStart(entry, { DATABASE_URL: 'postgresql://x:y@127.0.0.1:1/x' });
      expect([absent.code, absent.output]).toEqual([1, expect.stringContaining('DATABASE_URL')]);
      expect(unmigrated.output + absent.output).not.toContain('    at ');
    } finally {
      await empty.drop();
    }
  });
});

/** Has a process resolve localhost to an address of IPv6, as many machines do. */
const LOCALHOST_IS_IPV6 = `--import=data:text/javascript,${encodeURIComponent(`
  import dns from 'node:dns';
  const { lookup } = dns;
  dns.lookup = (name, ...rest) => lookup(name === 'localhost' ? '::1' : name, ...rest);
`)}`;

describe('a worker process at localhost', () => {
  it('listens where the API does, whatever the resolver says', async () => {
    const port = await freePort();
    const variables = { HOST: 'localhost', WORKER_METRICS_PORT: String(port) };
    const all = { ...app.variables, ...variables, NODE_OPTIONS: LOCALHOST_IS_IPV6 };
    running.push(await ProductProcess.start('worker', all));
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
    await expect(fetch(`http://[::1]:${port}/health`)).rejects.toThrow();
  });
});

describe('an API process at localhost', () => {
  it('listens once, so that its limits hold for all connections', async () => {
    const { api, url } = await ProductProcess.startApi({ ...app.variables, HOST: 'localhost' });
    running.push(api);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    await expect(fetch(`${url.replace('127.0.0.1', '[::1]')}/health`)).rejects.toThrow();
  });
});

describe('an API process that is asked to stop', () => {
  async function startApi() {
    const started = await ProductProcess.startApi(app.variables);
    running.push(started.api);
    return started;
  }

  it('answers waits with 202 at once, and exits with 0', async () => {
    const { api, url } = await startApi();
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(picture)]));
    const waiting = fetch(`${url}/api/v1/images/upload?wait=30`, {
      method: 'POST',
      headers: { authorization: `Bearer ${account.token}` },
      body: form,
    });
    await eventually(
      () => app.database.query('select 1 from images'),
      (rows) => rows.length > 0,
    );
    const askedAt = performance.now();
    api.signal('SIGTERM');
    expect((await waiting).status).toBe(202);
    // It would have waited for 30 seconds.
    expect(performance.now() - askedAt).toBeLessThan(10_000);
    expect(await api.ended()).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(15_000);
  });

  it('does not wait for the rest of bodies that it has refused', async () => {
    const { api, url } = await ProductProcess.startApi({ ...app.variables, LOG_LEVEL: 'info' });
    running.push(api);
    const sockets = Array.from({ length: 20 }, () =>
      connect(Number(new URL(url).port), '127.0.0.1'),
    );
    const trickles = await Promise.all(
      sockets.map(async (socket) => {
        socket.on('error', () => undefined);
        socket.write(
          'POST /api/v1/images/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n' +
            'content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n',
        );
        const [answer] = (await once(socket, 'data')) as [Buffer];
        expect(answer.toString()).toContain('HTTP/1.1 401');
        return setInterval(() => socket.write('more of it\r\n'), 100);
      }),
    );
    expect(await api.stop()).toBe(0);
    trickles.forEach(clearInterval);
    expect(api.output).not.toMatch(/Cutting connections|MaxListeners/);
  });

  it('finishes the upload that is under way', async () => {
    const { api, url } = await startApi();
    const head = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';
    const body = Buffer.concat([Buffer.from(head), picture, Buffer.from('\r\n--b--\r\n')]);
    const upload = request(`${url}/api/v1/images/upload`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${account.token}`,
        'content-type': 'multipart/form-data; boundary=b',
        'content-length': body.length,
      },
    });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      upload.once('response', ({ statusCode }) => {
        resolve(statusCode);
      });
      upload.once('error', reject);
    });
    upload.write(body.subarray(0, 100_000));
    await sleep(300);
    api.signal('SIGTERM');
    await sleep(300);
    upload.end(body.subarray(100_000));
    expect(await answered).toBe(202);
    expect(await api.ended()).toBe(0);
  });
});

describe('a worker that is killed in the middle of its work', () => {
  it('leaves nothing undone when another one starts', async () => {
    const uploader = await app.register();
    await Promise.all(
      Array.from({ length: PICTURES }, () =>
        app
          .as(uploader)
          .post('/api/v1/images/upload?force=true')
          .attach('image', picture, 'x')
          .expect(202),
      ),
    );
    const statuses = async () => {
      const rows = await app.database.query<{ status: string }>(
        'select status from images where user_id = $1',
        [uploader.userId],
      );
      return rows.map(({ status }) => status);
    };
    const first = await ProductProcess.start('worker', app.variables);
    await eventually(statuses, (all) => all.filter((each) => each === 'COMPLETED').length >= 3);
    await first.kill();
    expect((await statuses()).filter((each) => each === 'COMPLETED').length).toBeLessThan(PICTURES);

    running.push(await ProductProcess.start('worker', app.variables));
    const done = await eventually(
      statuses,
      (all) => all.every((each) => each === 'COMPLETED'),
      60_000,
    );
    expect(done).toEqual(Array.from({ length: PICTURES }, () => 'COMPLETED'));
    const { body } = await app.as(uploader).get('/api/v1/images?limit=100').expect(200);
    for (const image of body.items) expect(await statusOf(image.thumbnailUrl)).toBe(200);
  }, 90_000);

  it('finishes or gives back its work when it is asked to stop', async () => {
    const uploader = await app.register();
    for (let i = 0; i < 4; i += 1) {
      await app
        .as(uploader)
        .post('/api/v1/images/upload')
        .attach('image', picture, 'x')
        .expect(202);
    }
    const worker = await ProductProcess.start('worker', app.variables);
    await sleep(200);
    expect(await worker.stop()).toBe(0);
    const held = await app.database.query(
      `select 1 from images where user_id = $1 and (lease_id is not null or attempts > 1)`,
      [uploader.userId],
    );
    expect(held).toEqual([]);
  });
});

describe('migrating', () => {
  it('can be repeated on a database that has been in use', async () => {
    const again = ProductProcess.spawn('migrate', app.variables);
    running.push(again);
    expect([await again.ended(), again.output]).toEqual([0, '']);
  });

  it('applies every migration once when two start together', async () => {
    const empty = await createDatabase('empty');
    try {
      const variables = {
        ...app.variables,
        DATABASE_URL: empty.appUrl,
        MIGRATION_DATABASE_URL: empty.ownerUrl,
      };
      const both = [1, 2].map(() => ProductProcess.spawn('migrate', variables));
      running.push(...both);
      expect(await Promise.all(both.map((each) => each.ended()))).toEqual([0, 0]);
      const names = await empty.query<{ name: string }>('select name from mikro_orm_migrations');
      expect(names.length).toBeGreaterThan(0);
      expect(new Set(names.map(({ name }) => name)).size).toBe(names.length);
    } finally {
      await empty.drop();
    }
  });
});
