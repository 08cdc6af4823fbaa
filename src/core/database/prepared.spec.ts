import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from 'kysely';
import { prepare, preparedName } from './prepared.js';

/** At most 63 bytes, or PostgreSQL would cut it. */
const NAME = /^\w{1,63}$/;

const database = new Kysely<{ rooms: { id: string; size: number } }>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

describe('a prepared statement', () => {
  it('is built once, and takes its values where it was built with their names', () => {
    let builds = 0;
    const statement = prepare<{ least: number; id: string }, unknown>((valueOf) => {
      builds += 1;
      return database
        .selectFrom('rooms')
        .selectAll()
        .where('size', '>', valueOf('least'))
        .where(sql<boolean>`id <> ${valueOf('id')} and size > ${valueOf('least')}`)
        .where('size', '<', 9);
    });
    expect(statement({ id: 'a', least: 1 }).parameters).toEqual([1, 'a', 1, 9]);
    const { sql: text, parameters } = statement({ least: 2, id: 'b' });
    expect(parameters).toEqual([2, 'b', 2, 9]);
    expect(text).toContain('"size" > $1 and id <> $2 and size > $3 and "size" < $4');
    expect(builds).toBe(1);
  });

  it('has a name of its own, and no other statement has one', () => {
    const texts = ['id', 'size'].map((column) => {
      const statement = prepare<object, unknown>(() =>
        database.selectFrom('rooms').select(sql.ref(column).as('x')),
      );
      return statement({}).sql;
    });
    const names = texts.map(preparedName);
    expect(new Set(names).size).toBe(2);
    // Of the text alone: behind a pooler, other processes and releases see the same names.
    expect(names).toEqual([expect.stringMatching(NAME), expect.stringMatching(NAME)]);
    const [text = ''] = texts;
    expect(names[0]).toContain(createHash('sha256').update(text).digest('hex').slice(0, 16));
    expect(preparedName('select 1')).toBeUndefined();
  });
});
