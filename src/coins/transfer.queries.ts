import { type Kysely, type RawBuilder, sql } from 'kysely';
import { isoTime } from '../core/database/iso-time.js';
import { cutNewestFirst, newestFirst } from '../core/database/newest-first.js';
import type { ReadServer } from '../core/database/read-database.js';
import type { Page, PagedRow } from '../core/paging.js';
import type { TransferAnswer, TransferQuery } from './coins.schema.js';

/** What a transfer is answered with. */
const COLUMNS = sql`
  id, kind, phase, amount::float8 as amount, reference, hold_id as "holdId",
  case when phase not in ('SINGLE', 'POST') then 0
       when credit_account_id = account_id then amount else -amount end::float8 as change,
  ${isoTime('created_at')} as "createdAt"`;

/** A page of what moved the coins of a user, the newest first. */
export async function listTransfers(
  { database }: ReadServer<unknown>,
  userId: string,
  query: TransferQuery,
): Promise<Page<TransferAnswer>> {
  const columns = { time: 'created_at', id: 'id' };
  const { sortValue, isBehind, page } = newestFirst(columns, query);
  const { kind } = query;
  const filter = sql`${isOf(userId)} and ${kind === undefined ? sql`true` : sql`kind = ${kind}`}`;
  const { rows } = await sql<TransferAnswer & PagedRow>`
    select ${COLUMNS}, ${sortValue} as "sortValue" from coin_transfers
    where ${filter} and ${isBehind} ${page}`.execute(database);
  if (!query.total) return cutNewestFirst(rows, query, undefined);
  const counted = await sql<{ count: number }>`
    select count(*)::float8 as count from coin_transfers where ${filter}`.execute(database);
  return cutNewestFirst(rows, query, counted.rows[0]?.count);
}

/** The transfers of a user that follow another, or the first ones: the oldest first. */
export async function listTransfersBehind(
  database: Kysely<unknown>,
  userId: string,
  last: TransferAnswer | undefined,
  limit: number,
): Promise<TransferAnswer[]> {
  const isBehind = last
    ? sql`(created_at, id) > (${last.createdAt}::timestamptz, ${last.id}::uuid)`
    : sql`true`;
  const { rows } = await sql<TransferAnswer>`
    select ${COLUMNS} from coin_transfers where ${isOf(userId)} and ${isBehind}
    order by created_at, id limit ${limit}`.execute(database);
  return rows;
}

/** As one account, so that its index gives the order, too. */
function isOf(userId: string): RawBuilder<boolean> {
  return sql`account_id = (select id from coin_accounts where user_id = ${userId})`;
}
