import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Shutdown } from '../src/core/process/shutdown.js';
import { onEachConnection } from './each-connection.js';
import { eventually } from './eventually.js';
import { holdingAccount } from './image-requests.js';
import { makePicture } from './pictures.js';
import { readiness } from './readiness.js';
import { type TcpProxy } from './tcp-proxy.js';
import { type Account, TestingApp } from './testing-app.js';

const POOL_SIZE = 3;

let app: TestingApp;
let account: Account;
let proxy: TcpProxy;

async function startBehindProxy(variables: Record<string, string> = {}): Promise<void> {
  ({ app, proxy } = await TestingApp.startBehindProxy({
    worker: false,
    variables: { DATABASE_POOL_SIZE: String(POOL_SIZE), ...variables },
  }));
  account = await app.register();
}

beforeAll(() => startBehindProxy());

afterAll(stop);

async function stop(): Promise<void> {
  await app.close();
  await proxy.close();
}

describe('while the database is away', () => {
  it('requests answer 503 with Retry-After, and work again when it is back', async () => {
    proxy.cut();
    for (const request of [
      app.as(account).get('/api/v1/images'),
      app.http.post('/auth/login').send({ email: 'a@example.com', password: 'test123' }),
    ]) {
      const answer = await request;
      expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      expect(JSON.stringify(answer.body)).not.toMatch(/127\.0\.0\.1|ECONN|terminated/);
    }
    expect((await readiness(app.url, 503)).detail).toContain('database');
    await app.http.get('/health').expect(200);

    proxy.mend();
    const statuses = await eventually(
      async () => (await app.as(account).get('/api/v1/images')).status,
      (status) => status === 200,
    );
    expect(statuses).toBe(200);
    await readiness(app.url, 200);
  });

  it('connections that break in a transaction are not lost to the pool', async () => {
    const picture = await makePicture();
    await holdingAccount(app, account, async () => {
      const uploads = Array.from({ length: 3 }, () =>
        app.as(account).post('/api/v1/images/upload').attach('image', picture, 'x'),
      );
      const answers = Promise.all(uploads.map((upload) => upload.then(({ status }) => status)));
      await eventually(
        () =>
          app.database.query(
            `select 1 from pg_stat_activity where datname = current_database()
             and application_name = 'atelier' and wait_event_type = 'Lock'`,
          ),
        (rows) => rows.length === 3,
      );
      proxy.cut();
      expect(await answers).toEqual([503, 503, 503]);
      proxy.mend();
    });
    for (let each = 0; each < 6; each += 1) {
      await app.as(account).get('/api/v1/images').expect(200);
    }
  });

  it('an upload that was taken before is told so', async () => {
    const waiting = app
      .as(account)
      .post('/api/v1/images/upload?wait=20')
      .attach('image', await makePicture(), 'x')
      .then((answer) => answer);
    await eventually(
      () => app.database.query('select 1 from images where queued_at is not null'),
      (rows) => rows.length === 1,
    );
    proxy.cut();
    expect((await waiting).status).toBe(202);
    proxy.mend();
  });
});

describe('an API that is on its way out', () => {
  it('is not ready, and still answers', async () => {
    app.app.get(Shutdown).begin();
    const ready = await app.http.get('/health/ready').expect(503);
    expect(ready.body.detail).toContain('shutting down');
    await app.http.get('/health').expect(200);
  });
});

describe('connections on which nothing is heard any more', () => {
  beforeAll(async () => {
    await stop();
    await startBehindProxy({ DATABASE_STATEMENT_TIMEOUT_MS: '500' });
  });

  it('are told of as unavailable once, and not used again', async () => {
    const list = () => app.as(account).get('/api/v1/images');
    await onEachConnection(app, POOL_SIZE);
    proxy.forget();
    const lost = await Promise.all(Array.from({ length: POOL_SIZE }, list));
    expect(lost.map(({ status, body }) => [status, body.code])).toEqual(
      Array.from({ length: POOL_SIZE }, () => [503, 'unavailable']),
    );
    await list().expect(200);
    await list().expect(200);
  });
});
