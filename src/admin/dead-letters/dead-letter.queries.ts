import { type Kysely, type RawBuilder, sql } from 'kysely';
import { isoTime } from '../../core/database/iso-time.js';
import { likePattern } from '../../core/database/like-pattern.js';
import { cutNewestFirst, newestFirst } from '../../core/database/newest-first.js';
import type { ReadServer } from '../../core/database/read-database.js';
import type { Page, PagedRow } from '../../core/paging.js';
import type {
  DeadLetterFilter,
  DeadLetterQuery,
  FailedJobAnswer,
  FailedJobGroup,
} from './dead-letter.schema.js';

/** A database that dead letters are read from, be it a replica. */
type Database = Kysely<unknown>;

/** The most of an error's first line that stands for its group, in characters. */
const ERROR_LINE_LENGTH = 300;

const COLUMNS = sql`
  id, type, row_id as "rowId", data, error, fingerprint, attempts, retries, status,
  request_id as "requestId", ${isoTime('created_at')} as "createdAt",
  ${isoTime('failed_at')} as "failedAt", ${isoTime('updated_at')} as "updatedAt"`;

export async function findDeadLetter(
  database: Database,
  id: string,
): Promise<FailedJobAnswer | undefined> {
  const { rows } = await sql<FailedJobAnswer>`
    select ${COLUMNS} from failed_jobs where id = ${id}::uuid`.execute(database);
  return rows[0];
}

/** A page of dead letters, those that failed last first. */
export async function listDeadLetters(
  { database }: ReadServer<unknown>,
  query: DeadLetterQuery,
): Promise<Page<FailedJobAnswer>> {
  const { sortValue, isBehind, page } = newestFirst({ time: 'failed_at', id: 'id' }, query);
  const { rows } = await sql<FailedJobAnswer & PagedRow>`
    select ${COLUMNS}, ${sortValue} as "sortValue" from failed_jobs
    where ${matching(query)} and ${isBehind} ${page}`.execute(database);
  const total = query.total ? await countDeadLetters(database, query) : undefined;
  return cutNewestFirst(rows, query, total);
}

/** A page of causes: dead letters by type and fingerprint, those that failed last first. */
export async function groupDeadLetters(
  { database }: ReadServer<unknown>,
  query: DeadLetterQuery,
): Promise<Page<FailedJobGroup>> {
  const columns = { time: 'groups.last_at', id: 'groups.sample_id' };
  const { sortValue, isBehind, page } = newestFirst(columns, query);
  const groups = sql`(
    select type, fingerprint, count(*)::int as count, min(created_at) as first_at,
           max(failed_at) as last_at,
           (array_agg(id order by failed_at desc, id desc))[1] as sample_id
    from failed_jobs where ${matching(query)} group by type, fingerprint) as groups`;
  const { rows } = await sql<Omit<FailedJobGroup, 'sampleId'> & PagedRow>`
    select groups.type, groups.fingerprint, count, sample_id as id,
           ${isoTime('first_at')} as "firstAt", ${isoTime('last_at')} as "lastAt",
           left(split_part(sample.error, E'\\n', 1), ${ERROR_LINE_LENGTH}) as error,
           ${sortValue} as "sortValue"
    from ${groups} join failed_jobs as sample on sample.id = sample_id
    where ${isBehind} ${page}`.execute(database);
  const total = query.total ? await countRows(database, groups) : undefined;
  const cut = cutNewestFirst(rows, query, total);
  return { ...cut, items: cut.items.map(({ id: sampleId, ...group }) => ({ ...group, sampleId })) };
}

export function countDeadLetters(database: Database, filter: DeadLetterFilter): Promise<number> {
  return countRows(database, sql`failed_jobs where ${matching(filter)}`);
}

/** The next ids in their order. @param after the last of those before */
export async function nextDeadLetters(
  database: Database,
  filter: DeadLetterFilter,
  after: string | undefined,
  limit: number,
): Promise<string[]> {
  const isNext = after === undefined ? sql`true` : sql`id > ${after}::uuid`;
  const { rows } = await sql<{ id: string }>`
    select id from failed_jobs where ${matching(filter)} and ${isNext}
    order by id limit ${limit}`.execute(database);
  return rows.map(({ id }) => id);
}

/** Locked in their order first, so that two who delete the same do not wait for each other. */
export async function deleteDeadLetters(
  database: Database,
  filter: DeadLetterFilter,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with chosen as (
      select id from failed_jobs where ${matching(filter)} order by id for update
    ), deleted as (
      delete from failed_jobs where id in (select id from chosen) returning 1
    )
    select count(*)::int as count from deleted`.execute(database);
  return rows[0]?.count ?? 0;
}

function matching({ type, status, fingerprint, from, to, text }: DeadLetterFilter) {
  const conditions = [sql<boolean>`true`];
  if (type !== undefined) conditions.push(sql`type = ${type}`);
  if (status !== undefined) conditions.push(sql`status = ${status}`);
  if (fingerprint !== undefined) conditions.push(sql`fingerprint = ${fingerprint}`);
  if (from !== undefined) conditions.push(sql`failed_at >= ${from}::timestamptz`);
  if (to !== undefined) conditions.push(sql`failed_at < ${to}::timestamptz`);
  if (text !== undefined) {
    const pattern = likePattern(text);
    conditions.push(sql`(error ilike ${pattern} or data::text ilike ${pattern})`);
  }
  return sql`(${sql.join(conditions, sql` and `)})`;
}

async function countRows(database: Database, source: RawBuilder<unknown>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from ${source}`.execute(database);
  return rows[0]?.count ?? 0;
}
