import type { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../core/ids.js';
import { requireAmount } from './amount.js';
import { requireTransaction } from './ledger.js';

/**
 * How holds of the ledger end, in the transaction of the EntityManager that is given. A hold ends once:
 * the unique constraint of its ending decides who was first.
 */

/** How many holds one statement ends: it has a time limit. */
const MOST_AT_ONCE = 1_000;

/** What becomes of the coins of a hold. */
interface Ending {
  readonly phase: 'POST' | 'VOID' | 'EXPIRE';
  /** What of each hold to charge; null for nothing. */
  readonly charge: number | null;
}

/**
 * Ends a hold by charging all or part of it; the rest is free again.
 *
 * @param amount from 1 to what is held
 * @returns false when it has ended before: then nothing is written
 * @throws RangeError for any other amount; Error when there is no such hold
 */
export async function postHold(
  em: EntityManager,
  holdId: string,
  amount: number,
): Promise<boolean> {
  requireAmount(amount);
  return endHold(em, holdId, { phase: 'POST', charge: amount });
}

/**
 * Ends a hold without charging anything.
 *
 * @returns false when it has ended before: then nothing is written
 * @throws Error when there is no such hold
 */
export function voidHold(
  em: EntityManager,
  holdId: string,
  phase: 'VOID' | 'EXPIRE',
): Promise<boolean> {
  return endHold(em, holdId, { phase, charge: null });
}

/**
 * {@link voidHold} for many at once, of whichever users, but for those that have ended before. Their
 * work is locked, so that nobody else ends them.
 */
export async function voidHolds(em: EntityManager, holdIds: readonly string[]): Promise<void> {
  requireTransaction(em);
  for (let from = 0; from < holdIds.length; from += MOST_AT_ONCE) {
    const ids = holdIds.slice(from, from + MOST_AT_ONCE);
    await endHolds(em, ids, { phase: 'VOID', charge: null });
  }
}

async function endHold(em: EntityManager, holdId: string, ending: Ending): Promise<boolean> {
  requireTransaction(em);
  if ((await endHolds(em, [holdId], ending)) > 0) return true;
  await requireEnded(em, holdId, ending.charge);
  return false;
}

/**
 * One statement: of two endings at once the second waits for the unique constraint of the first, and
 * then does nothing.
 *
 * @returns how many it has ended
 */
async function endHolds(
  em: EntityManager,
  holdIds: readonly string[],
  { phase, charge }: Ending,
): Promise<number> {
  const [{ ended } = { ended: 0 }] = await em.execute<{ ended: number }[]>(
    `with ending as (
       insert into coin_transfers
         (id, account_id, debit_account_id, credit_account_id, amount,
          kind, phase, reference, hold_id, created_at)
       select ending_id, account_id, debit_account_id, credit_account_id, coalesce(?::bigint, amount),
              kind, ?, reference, id, now()
       from unnest(?::uuid[], ?::uuid[]) as wanted (ending_id, on_hold_id)
       join coin_transfers on id = on_hold_id and phase = 'HOLD'
       where coalesce(?::bigint, amount) <= amount
       on conflict (hold_id) where hold_id is not null do nothing
       returning account_id, hold_id
     ), settled as (
       update coin_accounts set held = held - sums.freed, posted = posted - sums.charged
       from (
         select ending.account_id, sum(on_hold.amount) as freed,
                count(*) * coalesce(?::bigint, 0) as charged
         from ending join coin_transfers as on_hold on on_hold.id = ending.hold_id
         group by ending.account_id
       ) as sums
       where coin_accounts.id = sums.account_id
     )
     select count(*)::int as ended from ending`,
    [
      ...[charge, phase, `{${holdIds.map(() => newId()).join()}}`, `{${holdIds.join()}}`],
      ...[charge, charge],
    ],
  );
  return ended;
}

/** Why nothing was written: it had ended, or something is wrong. */
async function requireEnded(em: EntityManager, holdId: string, charge: number | null) {
  const [found] = await em.execute<{ amount: number }[]>(
    `select amount::float8 as amount from coin_transfers where id = ? and phase = 'HOLD'`,
    [holdId],
  );
  if (!found) throw new Error(`There is no hold ${holdId}`);
  if (charge !== null && charge > found.amount) {
    throw new RangeError(`The hold ${holdId} is of ${found.amount} coins, not ${charge}`);
  }
}
