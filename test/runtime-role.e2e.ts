import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defineEntity, p } from '@mikro-orm/core';
import { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { migrationOptions } from '../src/mikro-orm.config.js';
import { grantRuntimeRole } from '../src/runtime-role.js';
import { createDatabase, type TestDatabase } from './test-database.js';

/** A table as the ledger and the audit will have it. */
const Entry = defineEntity({
  name: 'Entry',
  tableName: 'test_entries',
  comment: 'append-only: entries are facts',
  properties: { id: p.integer().primary() },
});

let database: TestDatabase;
let app: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  const urls = { DATABASE_URL: database.appUrl, MIGRATION_DATABASE_URL: database.ownerUrl };
  const owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
  await owner.query(`create table test_entries (id int primary key)`);
  const options = migrationOptions(urls);
  const orm = await MikroORM.init({ ...options, entities: [...(options.entities ?? []), Entry] });
  await grantRuntimeRole(owner, orm, urls);
  await grantRuntimeRole(owner, orm, urls);
  await orm.close();
  await owner.end();
  app = new pg.Client({ connectionString: database.appUrl });
  await app.connect();
});

afterAll(async () => {
  await app.end();
  await database.drop();
});

describe('the role of the running product', () => {
  it('reads and writes rows', async () => {
    await app.query(`insert into studios (id, name, created_at, updated_at)
      values (gen_random_uuid(), 'x', now(), now())`);
    await app.query(`update studios set name = 'y'`);
    await app.query('delete from studios');
  });

  it('adds to an append-only table, and changes nothing there', async () => {
    await app.query('insert into test_entries values (1)');
    await expect(app.query('update test_entries set id = 2')).rejects.toThrow('permission denied');
    await expect(app.query('delete from test_entries')).rejects.toThrow('permission denied');
    await expect(app.query('truncate test_entries')).rejects.toThrow('permission denied');
  });

  it.each([
    'alter table users add column x int',
    'drop table images',
    'create table mine (id int)',
    'truncate users cascade',
    `insert into mikro_orm_migrations (name) values ('x')`,
    'alter table bullmq.job add column x int',
    'create role someone',
    'alter table users disable trigger all',
  ])('may not: %s', async (statement) => {
    await expect(app.query(statement)).rejects.toThrow(/permission denied|must be owner/);
  });
});
