import type { EntityManager } from '@mikro-orm/postgresql';
import { type CompiledQuery, type RawBuilder, sql } from 'kysely';
import { likePattern } from '../../core/database/like-pattern.js';
import { cutNewestFirst, newestFirst } from '../../core/database/newest-first.js';
import { prepare } from '../../core/database/prepared.js';
import type { ReadServer } from '../../core/database/read-database.js';
import type { Page, PagedRow } from '../../core/paging.js';
import type { UserQuery } from './user.schema.js';

/** A row of `users`, with all its columns as the database has them. */
interface UserRow {
  id: string;
}

/** The account of an address, which is in lower case. */
export function prepareByEmail(
  em: EntityManager,
): (values: { email: string }) => CompiledQuery<UserRow> {
  return prepare<{ email: string }, UserRow>((valueOf) => {
    const statement = sql<UserRow>`select * from users where email = ${valueOf('email')}`;
    return { compile: () => statement.compile(em.getConnection().getClient()) };
  });
}

/** A page of accounts, the newest first. */
export async function listUsers(
  { database }: ReadServer<unknown>,
  query: UserQuery,
): Promise<Page<UserRow>> {
  const columns = { time: 'users.created_at', id: 'users.id' };
  const { sortValue, isBehind, page } = newestFirst(columns, query);
  const filter = matching(query);
  const { rows } = await sql<UserRow & PagedRow>`
    select users.*, ${sortValue} as "sortValue" from users
    where ${filter} and ${isBehind} ${page}`.execute(database);
  if (!query.total) return cutNewestFirst(rows, query, undefined);
  const counted = await sql<{ count: number }>`
    select count(*)::int as count from users where ${filter}`.execute(database);
  return cutNewestFirst(rows, query, counted.rows[0]?.count);
}

function matching({ text, role, disabled, verified, google }: UserQuery): RawBuilder<boolean> {
  // Who was erased is nobody.
  const conditions = [sql<boolean>`users.erased_at is null`];
  if (text !== undefined) conditions.push(isCalled(likePattern(text)));
  if (role !== undefined) conditions.push(sql`${role} = any (users.roles)`);
  if (disabled !== undefined) conditions.push(isThere('users.disabled_at', disabled));
  if (verified !== undefined) conditions.push(isThere('users.email_verified_at', verified));
  if (google !== undefined) conditions.push(isThere('users.google_id', google));
  return sql`(${sql.join(conditions, sql` and `)})`;
}

/** Studios have a name, and the accounts that they were registered with have none. */
function isCalled(pattern: string): RawBuilder<boolean> {
  return sql`(
    users.email ilike ${pattern}
    or concat_ws(' ', users.first_name, users.last_name) ilike ${pattern}
    or users.id in (
      select user_id from studio_members join studios on studios.id = studio_id
      where studios.name ilike ${pattern}
    ))`;
}

function isThere(column: string, wanted: boolean): RawBuilder<boolean> {
  return sql`(${sql.ref(column)} is not null) = ${wanted}`;
}
