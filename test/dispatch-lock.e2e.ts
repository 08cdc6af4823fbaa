import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { type TcpProxy } from './tcp-proxy.js';
import { type Account, TestingApp } from './testing-app.js';

/** How long one process holds up the others, in milliseconds. */
const HELD_MS = 10_000;
const EVERY_MS = 100;
/** What a request may take; one that waited for the holder took five seconds. */
const ANSWERED_AFTER_MS = 4_000;

interface Answer {
  status: number;
  ms: number;
}

/** Stands between the API and its database. */
let proxy: TcpProxy;
let app: TestingApp;
let account: Account;
let picture: Buffer;
let holder: pg.Client;

beforeAll(async () => {
  ({ app, proxy } = await TestingApp.startBehindProxy({ worker: false }));
  account = await app.register();
  picture = await makePicture({ width: 8, height: 8 });
  holder = new pg.Client({ connectionString: app.database.appUrl });
  await holder.connect();
});

afterAll(async () => {
  await holder.end();
  await app.close();
  await proxy.close();
});

async function timed(request: PromiseLike<{ status: number }>): Promise<Answer> {
  const askedAt = performance.now();
  const { status } = await request;
  return { status, ms: performance.now() - askedAt };
}

const upload = () =>
  timed(app.as(account).post('/api/v1/images/upload?force=true').attach('image', picture, 'x.png'));

const list = () => timed(app.as(account).get('/api/v1/images'));

const holdRounds = async () => {
  await holder.query('begin');
  await holder.query('select pg_advisory_xact_lock(hashtext($1))', [
    `dispatch:${convertImage.name}`,
  ]);
};

it('who holds up the handing over holds up neither uploads nor lists', async () => {
  await app.startWorker({ DATABASE_URL: app.database.appUrl, RECONCILE_EVERY_MS: '2000' });
  await holdRounds();
  const uploads: Promise<Answer>[] = [];
  const lists: Promise<Answer>[] = [];
  const until = performance.now() + HELD_MS;
  while (performance.now() < until) {
    uploads.push(upload());
    lists.push(list());
    await sleep(EVERY_MS);
  }
  const answers = { uploads: await Promise.all(uploads), lists: await Promise.all(lists) };
  await holder.query('rollback');

  const wrong = (all: Answer[], status: number) =>
    all.filter((each) => each.status !== status || each.ms > ANSWERED_AFTER_MS);
  expect(answers.uploads.length).toBeGreaterThan(30);
  expect(wrong(answers.uploads, 202)).toEqual([]);
  expect(wrong(answers.lists, 200)).toEqual([]);
  const unfinished = await eventually(
    () => app.database.query(`select id from images where status <> 'COMPLETED'`),
    (rows) => rows.length === 0,
    60_000,
  );
  expect(unfinished).toEqual([]);
}, 120_000);

/** Has a process fall silent in the middle of an upload, at a moment that a trigger makes longer. */
async function fallSilentWhile(event: string): Promise<{ end: () => Promise<void> }> {
  await app.worker?.stop();
  await app.database.query(`
    create or replace function linger() returns trigger language plpgsql as $$
      begin perform pg_sleep(1); return new; end $$;
    create trigger linger before ${event} execute function linger()`);
  const cutOff = upload().catch(() => undefined);
  const lingering = await eventually(
    () =>
      app.database.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`,
      ),
    (rows) => rows.length > 0,
  );
  expect(lingering).toHaveLength(1);
  proxy.forget();
  const end = async (): Promise<void> => {
    await app.database.query('drop trigger linger on images');
    proxy.cut();
    proxy.mend();
    await cutOff;
  };
  return { end };
}

it('a process that falls silent while it hands over soon loses its turn', async () => {
  const silent = await fallSilentWhile(
    'update on images for each row when (new.queued_at is distinct from old.queued_at)',
  );
  const askedAt = performance.now();
  await holdRounds();
  expect(performance.now() - askedAt).toBeLessThan(10_000);
  await holder.query('rollback');
  await silent.end();
}, 60_000);

it('a process that falls silent while it takes an upload soon loses the account', async () => {
  const silent = await fallSilentWhile('insert on images for each row');
  const askedAt = performance.now();
  await holder.query('select 1 from users where id = $1 for update', [account.userId]);
  expect(performance.now() - askedAt).toBeLessThan(10_000);
  await silent.end();
}, 60_000);
