import type { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../core/ids.js';
import { requireTransaction } from './ledger.js';

/** How many holds one statement ends: it has a time limit. */
const MOST_AT_ONCE = 1_000;

/**
 * `voidHold` of the ledger for many at once, of whichever users, but for those that have ended before. Their
 * work is locked, so that nobody else ends them.
 */
export async function voidHolds(em: EntityManager, holdIds: readonly string[]): Promise<void> {
  requireTransaction(em);
  for (let from = 0; from < holdIds.length; from += MOST_AT_ONCE) {
    const ids = holdIds.slice(from, from + MOST_AT_ONCE);
    await em.execute(
      `with ending as (
         insert into coin_transfers
           (id, account_id, debit_account_id, credit_account_id, amount,
            kind, phase, reference, hold_id, created_at)
         select ending_id, account_id, debit_account_id, credit_account_id, amount,
                kind, 'VOID', reference, id, now()
         from unnest(?::uuid[], ?::uuid[]) as wanted (ending_id, on_hold_id)
         join coin_transfers on id = on_hold_id and phase = 'HOLD'
         on conflict (hold_id) where hold_id is not null do nothing
         returning account_id, amount
       )
       update coin_accounts set held = held - freed.amount
       from (select account_id, sum(amount) as amount from ending group by account_id) as freed
       where coin_accounts.id = freed.account_id`,
      [`{${ids.map(() => newId()).join()}}`, `{${ids.join()}}`],
    );
  }
}
