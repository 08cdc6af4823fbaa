import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { readEnv } from '../src/core/env.js';
import { migrationOptions } from '../src/mikro-orm.config.js';
import { productVariables } from './environment.js';
import { eventually } from './eventually.js';
import { holdingAccount, uploadPicture } from './image-requests.js';
import { describeWith } from './programs.js';
import { PgBouncer } from './pgbouncer.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { TcpProxy } from './tcp-proxy.js';
import { createDatabase, type TestDatabase } from './test-database.js';
import { type Account, TestingApp } from './testing-app.js';

const POOL_SIZE = 5;
const LIMITS = {
  DATABASE_STATEMENT_TIMEOUT_MS: '1500',
  DATABASE_LOCK_TIMEOUT_MS: '700',
  DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: '1000',
};

let bouncer: PgBouncer;
let proxy: TcpProxy;
let database: TestDatabase;
let app: TestingApp;
let account: Account;
let picture: Buffer;

describeWith('pgbouncer', 'with PgBouncer in transaction mode in between', () => {
  beforeAll(async () => {
    database = await createDatabase();
    const before = await TcpProxy.before(database.appUrl);
    proxy = before.proxy;
    bouncer = await PgBouncer.start(before.url, POOL_SIZE);
    const variables = { DATABASE_DIRECT_URL: database.appUrl, ...LIMITS };
    const urls = { DATABASE_URL: bouncer.through(database.appUrl), ...variables };
    await migrate(urls);
    app = await TestingApp.start({
      database,
      variables,
      through: async (url) => bouncer.through(url),
    });
    account = await app.register();
    picture = await makePicture();
  });

  afterAll(async () => {
    await app.close();
    await bouncer.stop();
    await proxy.close();
  });

  it('an account signs in, and a picture is uploaded, waited for, repeated and listed', async () => {
    const { email, password } = account;
    await app.http.post('/api/v1/auth/login').send({ email, password }).expect(200);
    const upload = () =>
      app
        .as(account)
        .post('/api/v1/images/upload')
        .set({ prefer: 'wait=30', 'idempotency-key': 'through-the-pooler' })
        .attach('image', picture, 'x');
    const first = await upload();
    expect([first.status, first.body.status]).toEqual([201, 'COMPLETED']);
    const again = await upload();
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.body).toEqual(first.body);
    const list = await app.as(account).get('/api/v1/images?total=true').expect(200);
    expect(list.body).toMatchObject({ items: [{ id: first.body.id }], total: 1 });
    await app.as(account).delete(`/api/v1/images/${first.body.id}`).expect(204);
  });

  it('an upload is taken in parts', async () => {
    const file = await makePicture();
    const tus = { 'tus-resumable': '1.0.0' };
    const created = await app
      .as(account)
      .post('/api/v1/images/uploads')
      .set({ ...tus, 'upload-length': String(file.length) })
      .expect(201);
    const path = new URL(String(created.headers['location']), app.url).pathname;
    const part = (from: number, to: number) =>
      app
        .as(account)
        .patch(path)
        .set({ ...tus, 'content-type': 'application/offset+octet-stream' })
        .set('upload-offset', String(from))
        .send(file.subarray(from, to));
    await part(0, 1_000).expect(204);
    const last = await part(1_000, file.length).expect(204);
    const id = String(last.headers['atelier-image-id']);
    await app.as(account).get(`/api/v1/images/${id}`).expect(200);
  });

  it('many requests share its few connections', async () => {
    // With the time-outs of the product: they wait for each other.
    const patient = await PgBouncer.start(database.appUrl, POOL_SIZE, { query_wait_timeout: 60 });
    const own = await createDatabase();
    const busy = await TestingApp.start({
      database: own,
      variables: { DATABASE_DIRECT_URL: own.appUrl },
      through: async (url) => patient.through(url),
    });
    try {
      const many = await busy.register();
      const uploads = Array.from({ length: 12 }, () => uploadPicture(busy, many, picture));
      const reads = Array.from({ length: 120 }, (_, n) =>
        busy.as(many).get(n % 3 ? '/api/v1/images?total=true' : '/api/v1/images/stats'),
      );
      let most = 0;
      const done = Promise.all([...uploads, ...reads]).finally(() => (most += 0.5));
      while (Number.isInteger(most)) {
        const rows = await busy.database.query(
          `select 1 from pg_stat_activity
           where datname = current_database() and application_name = 'atelier'`,
        );
        most = Math.max(most, rows.length);
        await sleep(20);
      }
      const statuses = new Set((await done).map(({ status }) => status));
      expect([...statuses].sort()).toEqual([200, 201]);
      expect(most).toBeGreaterThan(1);
      expect(most).toBeLessThanOrEqual(POOL_SIZE + 0.5);
    } finally {
      await busy.close();
      await patient.stop();
    }
  }, 60_000);

  it('nothing is left in its sessions', async () => {
    const client = new pg.Client({ connectionString: app.variables['DATABASE_URL'] });
    await client.connect();
    const { rows } = await client.query(
      `select (select count(*)::int from pg_prepared_statements) as statements,
              (select count(*)::int from pg_listening_channels()) as channels,
              (select count(*)::int from pg_locks where locktype = 'advisory' and granted
               and pid = pg_backend_pid()) as locks`,
    );
    await client.end();
    expect(rows).toEqual([{ statements: 0, channels: 0, locks: 0 }]);
  });

  /** An upload is told that it cannot be taken now, within so many milliseconds. */
  async function expectRefusal(withinMs: number): Promise<void> {
    const startedAt = performance.now();
    const { status, body } = await app
      .as(account)
      .post('/api/v1/images/upload?force=true')
      .attach('image', picture, 'x');
    expect([status, body.code]).toEqual([503, 'unavailable']);
    expect(performance.now() - startedAt).toBeLessThan(withinMs);
  }

  it('statements that run too long, or wait too long for a lock, are ended', async () => {
    await holdingAccount(app, account, () => expectRefusal(3_000));

    await app.database.query(
      `create function linger() returns trigger language plpgsql as
         $$ begin perform pg_sleep(20); return new; end $$;
       create trigger linger before insert on images for each row execute function linger()`,
    );
    await expectRefusal(5_000);
    await app.database.query('drop function linger cascade');
    expect((await uploadPicture(app, account, picture)).status).toBe(201);
  });

  it('a transaction that does nothing is ended', async () => {
    const client = new pg.Client({ connectionString: app.variables['DATABASE_URL'] });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('begin');
    await sleep(2_500);
    await expect(client.query('select 1')).rejects.toThrow();
    await client.end();
  });

  const list = async () => {
    const { status, body, headers } = await app.as(account).get('/api/v1/images');
    return { status, code: body.code, waits: Number(headers['retry-after']) > 0 };
  };
  const unavailable = { status: 503, code: 'unavailable', waits: true };

  it('a server that is away behind it is told of as unavailable, until it is back', async () => {
    proxy.cut();
    const answers = await Promise.all(Array.from({ length: 20 }, list));
    for (const answer of answers) expect(answer).toEqual(unavailable);
    expect(await list()).toEqual(unavailable);
    proxy.mend();
    const { status } = await eventually(list, (answer) => answer.status === 200);
    expect(status).toBe(200);
  });

  it('a pooler that drops its clients, and takes none, is told of as unavailable', async () => {
    const name = new URL(database.appUrl).pathname.slice(1);
    await bouncer.command(`kill ${name}`);
    expect(await list()).toEqual(unavailable);
    await bouncer.command(`resume ${name}`);
    const { status } = await eventually(list, (answer) => answer.status === 200);
    expect(status).toBe(200);
  });

  it.each([
    ['DATABASE_URL', () => undefined],
    ['DATABASE_DIRECT_URL', (pooled: string) => `${pooled}?application_name=direct`],
  ])('a %s that leads through it, and should not, stops the start', async (name, makeDirect) => {
    const { DATABASE_DIRECT_URL: _right, DATABASE_URL: pooled = '', ...others } = app.variables;
    const direct = makeDirect(pooled);
    const variables = { ...others, DATABASE_URL: pooled };
    const child = ProductProcess.spawn('main', {
      ...variables,
      ...(direct && { DATABASE_DIRECT_URL: direct }),
    });
    expect(await child.ended()).toBe(1);
    expect(child.output).toContain(`The database of ${name} cannot be used: it leads through`);
    expect(child.output).toContain('DATABASE_DIRECT_URL has to name the way around it');
    expect(child.output).not.toContain('    at ');
  });

  it('a way around it to another database stops the start', async () => {
    const other = await createDatabase();
    const variables = { ...app.variables, DATABASE_DIRECT_URL: other.appUrl };
    const child = ProductProcess.spawn('main', variables);
    expect(await child.ended()).toBe(1);
    await other.drop();
    expect(child.output).toContain('DATABASE_DIRECT_URL leads to another database');
  });

  it('time-outs that were changed and not migrated are told at the start', async () => {
    const changes = { DATABASE_STATEMENT_TIMEOUT_MS: '9000' };
    const variables = { ...app.variables, LOG_LEVEL: 'warn' };
    const { api: old } = await ProductProcess.startApi({ ...variables, ...changes });
    await old.stop();
    expect(old.output).toMatch(/"found":\{"statement_timeout":1500\}.*npm run migrate.*RECONNECT/);

    await migrate({ ...app.variables, ...changes });
    await bouncer.command('reconnect');
    const { api: now } = await ProductProcess.startApi({ ...variables, ...changes });
    await now.stop();
    expect(now.output).not.toContain('RECONNECT');
  });

  it('migrating is bound by none of them', async () => {
    // One role for all has the time-outs of the product.
    const oneRole = {
      ...LIMITS,
      MIGRATION_DATABASE_URL: '',
      DATABASE_URL: bouncer.through(database.ownerUrl),
      DATABASE_DIRECT_URL: database.ownerUrl,
    };
    await migrate(oneRole);
    expect(await statementTimeout({ connectionString: database.ownerUrl })).toBe('1500ms');
    const { connectionString, options } = migrationOptions(
      readEnv({ ...app.variables, ...oneRole }),
    ).driverOptions as pg.ClientConfig;
    expect(connectionString).toBe(database.ownerUrl);
    expect(await statementTimeout({ connectionString, options })).toBe('0');
  });
});

async function migrate(variables: Record<string, string>): Promise<string> {
  const migration = ProductProcess.spawn('migrate', {
    ...productVariables(database, tmpdir()),
    ...variables,
  });
  if ((await migration.ended()) !== 0) throw new Error(migration.output);
  return migration.output;
}

async function statementTimeout(options: pg.ClientConfig): Promise<string | undefined> {
  const client = new pg.Client(options);
  await client.connect();
  const { rows } = await client.query<{ statement_timeout: string }>('show statement_timeout');
  await client.end();
  return rows[0]?.statement_timeout;
}
