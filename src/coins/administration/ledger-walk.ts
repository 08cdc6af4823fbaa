import type { EntityManager } from '@mikro-orm/postgresql';
import { type RawBuilder, sql } from 'kysely';
import { isoTime } from '../../core/database/iso-time.js';
import { SYSTEM_ACCOUNTS } from '../coin-account.entity.js';

/** How many transfers one statement reads: a fraction of a second. */
const TRANSFERS_AT_ONCE = 20_000;
/** How many accounts are in memory at once, and sums of a page's transfers at the most. */
const ACCOUNTS_AT_ONCE = 2_000;

/** An account as it is stored. */
export interface StoredAccount {
  readonly id: string;
  readonly userId: string | null;
  readonly posted: bigint;
  readonly held: bigint;
}

/** What the transfers of an account come to, for it and for the system accounts. */
export interface TransferSums {
  readonly accountId: string;
  readonly transfers: number;
  readonly posted: bigint;
  readonly held: bigint;
  readonly issued: bigint;
  readonly revenue: bigint;
  readonly promotions: bigint;
  /** Endings that do not fit their hold: of another account, or of more than was held. */
  readonly misfits: number;
}

/** Of an account without transfers. */
export const NO_TRANSFERS: TransferSums = {
  ...{ accountId: '', transfers: 0, misfits: 0 },
  ...{ posted: 0n, held: 0n, issued: 0n, revenue: 0n, promotions: 0n },
};

/** Where a page ends. */
interface Position {
  readonly accountId: string;
  /** ISO 8601 in UTC. */
  readonly createdAt: string;
  readonly id: string;
}

/** A row of a page: what those transfers of an account that are on it come to. */
interface SumsRow {
  accountId: string;
  transfers: number;
  misfits: number;
  /** As PostgreSQL writes numbers of any length. */
  posted: string;
  held: string;
  issued: string;
  revenue: string;
  promotions: string;
}

/** All accounts, in the order of their ids, as the transaction of `em` sees them. */
export async function* accountsInOrder(em: EntityManager): AsyncGenerator<StoredAccount> {
  for (let last: string | undefined; ;) {
    const { rows } = await sql<
      Record<'id' | 'posted' | 'held', string> & { userId: string | null }
    >`
      select id, user_id as "userId", posted, held from coin_accounts
      where ${last === undefined ? sql`true` : sql`id > ${last}::uuid`}
      order by id limit ${ACCOUNTS_AT_ONCE}`.execute(em.getKysely<unknown>());
    for (const { posted, held, ...account } of rows) {
      yield { ...account, posted: BigInt(posted), held: BigInt(held) };
    }
    last = rows.at(-1)?.id;
    if (rows.length < ACCOUNTS_AT_ONCE) return;
  }
}

/** What the transfers of each account that has any come to, in the order of the accounts' ids. */
export async function* sumsInOrder(em: EntityManager): AsyncGenerator<TransferSums> {
  let open: TransferSums | undefined;
  let end: Position | undefined;
  do {
    const begin = end;
    end = await findEnd(em, begin);
    for (const row of await readPage(em, begin)) {
      if (open && open.accountId !== row.accountId) yield open;
      // The last account of a page may go on with the next one.
      open = add(open?.accountId === row.accountId ? open : NO_TRANSFERS, row);
    }
  } while (end);
  if (open) yield open;
}

function add(sums: TransferSums, row: SumsRow): TransferSums {
  return {
    accountId: row.accountId,
    transfers: sums.transfers + row.transfers,
    misfits: sums.misfits + row.misfits,
    posted: sums.posted + BigInt(row.posted),
    held: sums.held + BigInt(row.held),
    issued: sums.issued + BigInt(row.issued),
    revenue: sums.revenue + BigInt(row.revenue),
    promotions: sums.promotions + BigInt(row.promotions),
  };
}

/** The last transfer of the page behind another; undefined when the page is not full. */
async function findEnd(
  em: EntityManager,
  begin: Position | undefined,
): Promise<Position | undefined> {
  const { rows } = await sql<Position>`
    select account_id as "accountId", ${isoTime('created_at')} as "createdAt", id
    from (
      select account_id, created_at, id from coin_transfers where ${isBehind(begin)}
      order by account_id, created_at, id offset ${TRANSFERS_AT_ONCE - 1} limit 1
    ) as last`.execute(em.getKysely<unknown>());
  return rows[0];
}

/**
 * Reads so many transfers by the index that has them in this order, and sums them up: nothing is
 * sorted, and nothing but the page is in anybody's memory. What an ending gives back is asked of its
 * hold, by its id.
 */
async function readPage(em: EntityManager, begin: Position | undefined): Promise<SumsRow[]> {
  const { rows } = await sql<SumsRow>`
    with page as (
      select *,
        (select on_hold.amount from coin_transfers as on_hold
         where on_hold.id = transfers.hold_id and on_hold.phase = 'HOLD'
           and (on_hold.account_id, on_hold.debit_account_id, on_hold.credit_account_id,
                on_hold.kind, on_hold.reference)
             = (transfers.account_id, transfers.debit_account_id, transfers.credit_account_id,
                transfers.kind, transfers.reference)) as held_amount
      from coin_transfers as transfers
      where ${isBehind(begin)}
      order by account_id, created_at, id
      limit ${TRANSFERS_AT_ONCE}
    )
    select account_id as "accountId", count(*)::int as transfers,
      ${balanceOf(sql`account_id`)} as posted,
      sum(case when phase = 'HOLD' then amount
               when hold_id is not null then -coalesce(held_amount, 0) else 0 end) as held,
      ${balanceOf(sql`${SYSTEM_ACCOUNTS.ISSUED}::uuid`)} as issued,
      ${balanceOf(sql`${SYSTEM_ACCOUNTS.REVENUE}::uuid`)} as revenue,
      ${balanceOf(sql`${SYSTEM_ACCOUNTS.PROMOTIONS}::uuid`)} as promotions,
      (count(*) filter (where hold_id is not null and (
        held_amount is null or amount > held_amount
        or (phase <> 'POST' and amount <> held_amount))))::int as misfits
    from page group by account_id order by account_id`.execute(em.getKysely<unknown>());
  return rows;
}

function isBehind(position: Position | undefined): RawBuilder<boolean> {
  if (!position) return sql`true`;
  const { accountId, createdAt, id } = position;
  return sql`(account_id, created_at, id) > (${accountId}::uuid, ${createdAt}::timestamptz, ${id}::uuid)`;
}

/** What the transfers of a page have moved to an account, and away from it. */
function balanceOf(account: RawBuilder<unknown>): RawBuilder<string> {
  return sql`sum(case when phase not in ('SINGLE', 'POST') then 0
                      when credit_account_id = ${account} then amount
                      when debit_account_id = ${account} then -amount else 0 end)`;
}
