import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import { DatabasePools } from '../src/core/database/database-pools.js';
import { onEachConnection } from './each-connection.js';
import { eventually } from './eventually.js';
import { type Account, TestingApp } from './testing-app.js';

const POOL_SIZE = 2;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { DATABASE_POOL_SIZE: String(POOL_SIZE) },
  });
  account = await app.register();
});

afterAll(() => app.close());

/** As many lists at once as there are connections, and more. */
async function listAll(): Promise<number[]> {
  const lists = Array.from({ length: 3 * POOL_SIZE }, () => app.as(account).get('/api/v1/images'));
  return (await Promise.all(lists)).map(({ status }) => status);
}

async function connections(): Promise<number[]> {
  const rows = await app.database.query<{ pid: number }>(
    `select pid from pg_stat_activity
     where datname = current_database() and application_name = 'atelier'`,
  );
  return rows.map(({ pid }) => pid);
}

/** How many the application believes to have. */
async function openConnections(): Promise<number> {
  const figures = app.app.get(DatabasePools).figures();
  return figures.find(({ name }) => name === 'primary')?.open ?? 0;
}

/** What a pooler that nobody has told of does: it lends a connection that others have used. */
async function lendUsedConnections(): Promise<void> {
  const [{ names } = { names: [] }] = await app.app
    .get(EntityManager)
    .fork()
    .execute<{ names: string[] }[]>('select array_agg(name) as names from pg_prepared_statements');
  expect(names.length).toBeGreaterThan(0);
  const told = names.map((name) => `prepare ${name} as select 1`);
  await app.database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'atelier'`,
  );
  await eventually(openConnections, (open) => open === 0);
  await onEachConnection(app, POOL_SIZE, told.join('; '));
}

describe('a list that connections have prepared', () => {
  it.each([
    [
      'whose columns a migration gives another type',
      () => app.database.query('alter table images alter column title type varchar(501)'),
    ],
    ['which the server has forgotten', () => onEachConnection(app, POOL_SIZE, 'deallocate all')],
    ['whose names mean something else to the server', lendUsedConnections],
  ])('%s, is answered by connections that are made anew', async (_name, outdate) => {
    expect(new Set(await listAll())).toEqual(new Set([200]));
    const before = await connections();
    expect(before).toHaveLength(POOL_SIZE);
    await outdate();
    expect(new Set(await listAll())).toEqual(new Set([200]));
    expect(new Set(await listAll())).toEqual(new Set([200]));
    const after = await connections();
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  });
});
