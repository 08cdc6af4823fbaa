import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import { sql } from 'kysely';
import { ENV, type Env } from '../src/core/env.js';
import { DatabasePools } from '../src/core/database/database-pools.js';
import { ReadDatabase } from '../src/core/database/read-database.js';
import { eventually } from './eventually.js';
import { uploadPicture } from './image-requests.js';
import { OwnPostgres, type Standby } from './own-postgres.js';
import { makePicture } from './pictures.js';
import { readiness } from './readiness.js';
import { TcpProxy } from './tcp-proxy.js';
import { type Account, TestingApp } from './testing-app.js';

const MAX_LAG_MS = 6_000;
/** Nothing listens there. */
const ABSENT = 'postgresql://atelier_app:x@127.0.0.1:1/atelier';

let primary: OwnPostgres;
let standby: Standby;
let proxy: TcpProxy;
let app: TestingApp;
let account: Account;
let picture: Buffer;

beforeAll(async () => {
  primary = await OwnPostgres.start();
  await primary.migrate();
  standby = await primary.replicate();
  const before = await TcpProxy.before(standby.url('app'));
  proxy = before.proxy;
  app = await TestingApp.start({
    database: primary.database(),
    variables: {
      DATABASE_REPLICA_URLS: `${before.url},${ABSENT}`,
      DATABASE_REPLICA_MAX_LAG_MS: String(MAX_LAG_MS),
    },
  });
  account = await app.register();
  picture = await makePicture();
});

afterAll(async () => {
  await standby.stop();
  await app.close();
  await proxy.close();
});

/** Both servers have this picture; the replica is read from. */
beforeEach(async () => {
  await standby.query('select pg_wal_replay_resume()');
  await eventually(whereListsAreRead, (where) => where === 'replica');
  expect(await whereListsAreRead()).toBe('replica');
});

async function whereListsAreRead(): Promise<'replica' | 'primary'> {
  const isStandby = await app.app.get(ReadDatabase).read(async ({ database }) => {
    const { rows } = await sql<{ standby: boolean }>`select pg_is_in_recovery() as standby`.execute(
      database,
    );
    return rows[0]?.standby;
  });
  return isStandby ? 'replica' : 'primary';
}

async function list(query = ''): Promise<{ ids: string[]; body: Record<string, any> }> {
  const { body } = await app.as(account).get(`/api/v1/images${query}`).expect(200);
  return { ids: body.items.map(({ id }: { id: string }) => id), body };
}

/** Has four clients list again and again, and notes what they are answered. */
function listOnAndOn() {
  const statuses: number[] = [];
  let isOver = false;
  const client = async () => {
    while (!isOver) statuses.push((await app.as(account).get('/api/v1/images')).status);
  };
  const clients = Promise.all(Array.from({ length: 4 }, client));
  const end = async (): Promise<void> => {
    isOver = true;
    await clients;
  };
  return { statuses, end };
}

const upload = async (): Promise<string> => {
  const { status, body } = await uploadPicture(app, account, picture);
  expect(status).toBe(201);
  return body.id;
};

describe('with a replica', () => {
  it('lists are read there, and everything else where one has written', async () => {
    const old = await upload();
    await eventually(list, ({ ids }) => ids.includes(old));
    await standby.query('select pg_wal_replay_pause()');
    const request = app.as(account).post('/api/v1/images/upload?force=true');
    const { id } = (await request.attach('image', picture, 'x').expect(202)).body;

    // The replica knows nothing of it yet.
    const { ids, body } = await list('?total=true');
    expect([ids.includes(id), body['total']]).toEqual([false, ids.length]);
    await eventually(
      async () => (await app.as(account).get(`/api/v1/images/${id}`)).body.status,
      (status) => status === 'COMPLETED',
    );

    await app.as(account).get(`/api/v1/images/${id}`).expect(200);
    await app.as(account).get(`/api/v1/images/${id}/metadata`).expect(200);
    await app.as(account).get(`/api/v1/images/${id}/file?size=large`).expect(200);
    const stats = await app.as(account).get('/api/v1/images/stats').expect(200);
    expect(stats.body.count).toBe(ids.length + 1);
    const changed = await app.as(account).patch(`/api/v1/images/${id}`).send({ title: 'new' });
    expect([changed.status, changed.body.title]).toEqual([200, 'new']);
    const again = await app.as(account).post('/api/v1/images/upload').attach('image', picture, 'x');
    expect(again.body.duplicate).toBe(true);
  });

  it('pages and totals of a list come from one place', async () => {
    for (let n = 0; n < 2; n += 1) await upload();
    const last = await upload();
    const before = await eventually(
      () => list('?total=true'),
      ({ ids }) => ids.includes(last),
    );
    const { total } = before.body;
    await standby.query('select pg_wal_replay_pause()');
    await upload();
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const after: string = cursor && `&cursor=${cursor}`;
      const page = await list(`?limit=1&total=true${after}`);
      expect(page.body['total']).toBe(total);
      seen.push(...page.ids);
      cursor = page.body['nextCursor'];
    }
    expect(new Set(seen).size).toBe(total);
    expect(seen).toHaveLength(total);
  });

  it('that is too far behind, lists are read from the primary until it has caught up', async () => {
    await standby.query('select pg_wal_replay_pause()');
    const id = await upload();
    expect((await list()).ids).not.toContain(id);
    await eventually(list, ({ ids }) => ids.includes(id));
    expect((await list()).ids).toContain(id);
    await standby.query('select pg_wal_replay_resume()');
    await eventually(whereListsAreRead, (where) => where === 'replica');
    expect((await list()).ids).toContain(id);
    await readiness(app.url, 200);
  });

  it('that is idle, because nothing is written, it is not taken for late', async () => {
    const until = Date.now() + MAX_LAG_MS + 2_000;
    while (Date.now() < until) {
      expect(await whereListsAreRead()).toBe('replica');
      await sleep(200);
    }
  });

  it('that is cut off, not one list fails, and it is used again when it is back', async () => {
    const { statuses, end } = listOnAndOn();
    await eventually(
      async () => statuses.length,
      (count) => count > 20,
    );
    proxy.cut();
    const before = statuses.length;
    await eventually(
      async () => statuses.length,
      (count) => count > before + 100,
    );
    expect(await whereListsAreRead()).toBe('primary');
    await readiness(app.url, 200);
    proxy.mend();
    await eventually(whereListsAreRead, (where) => where === 'replica');
    await end();
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await whereListsAreRead()).toBe('replica');
  });

  it('that is restarted, not one list fails', async () => {
    const { statuses, end } = listOnAndOn();
    await standby.end();
    await standby.begin();
    await eventually(whereListsAreRead, (where) => where === 'replica');
    await end();
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it.each([
    ['a mistake of ours', () => new TypeError('undefined is not iterable')],
    ['a mistake in SQL', () => Object.assign(new Error('syntax error'), { code: '42601' })],
  ])('%s is not done again on the primary, and the replica is kept', async (_name, mistake) => {
    let runs = 0;
    const reading = app.app.get(ReadDatabase).read(async () => {
      runs += 1;
      throw mistake();
    });
    await expect(reading).rejects.toThrow(mistake().message);
    expect([runs, await whereListsAreRead()]).toEqual([1, 'replica']);
  });

  it('that has not got the last migration yet, lists are read from the primary', async () => {
    await standby.query('select pg_wal_replay_pause()');
    await primary.query('create table later as select 1 as one');
    await primary.query('grant select on later to atelier_app');
    const rows = await app.app
      .get(ReadDatabase)
      .read(async ({ database }) => (await sql`select one from later`.execute(database)).rows);
    expect(rows).toEqual([{ one: 1 }]);
    await primary.query('drop table later');
  });

  it('that had to cancel a list so as to replay, that list is read from the primary', async () => {
    let runs = 0;
    const answer = await app.app.get(ReadDatabase).read(async () => {
      runs += 1;
      const conflict = new Error('canceling statement due to conflict with recovery');
      if (runs === 1) throw Object.assign(conflict, { code: '40001' });
      return 'from the primary';
    });
    expect(answer).toBe('from the primary');
  });

  it('and another one, they take turns', async () => {
    const named = (name: string) => {
      const url = new URL(standby.url('app'));
      url.searchParams.set('application_name', name);
      return url.href;
    };
    const env = { ...app.app.get<Env>(ENV), DATABASE_REPLICA_URLS: [named('a'), named('b')] };
    const lists = new ReadDatabase(app.app.get(EntityManager), new DatabasePools(), env);
    const names: (string | undefined)[] = [];
    for (let n = 0; n < 6; n += 1) {
      const { rows } = await lists.read(({ database }) =>
        sql<{ name: string }>`select current_setting('application_name') as name`.execute(database),
      );
      names.push(rows[0]?.name);
    }
    await lists.onApplicationShutdown();
    expect(names.filter((name) => name === 'a')).toHaveLength(3);
    expect(names.filter((name) => name === 'b')).toHaveLength(3);
  });

  it('its pool is known by name', () => {
    const names = app.app
      .get(DatabasePools)
      .figures()
      .map(({ name }) => name);
    expect(names.sort()).toEqual(['primary', 'queue', 'replica', 'replica']);
  });
});
