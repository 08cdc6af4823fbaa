import type { EntityManager } from '@mikro-orm/postgresql';
import { type CompiledQuery, sql } from 'kysely';
import { countPrepared, prepare } from '../core/database/prepared.js';
import { newId } from '../core/ids.js';
import { requireAmount } from './amount.js';
import { SYSTEM_ACCOUNTS } from './coin-account.entity.js';
import { COUNTERPARTS } from './coin-transfer.entity.js';
import { type Movement, type SpendKind, spend, type Transferred } from './ledger.js';

interface SpendValues extends Movement<SpendKind> {
  id: string;
  counterpartId: string;
}

const UNIQUE_VIOLATION = '23505';

/**
 * Spends in a transaction of its own, by one statement: it takes the coins if they are there, and
 * writes the transfer down. The row is locked for no longer than its commit takes.
 */
export class Spending {
  private statement: ((values: SpendValues) => CompiledQuery) | undefined;

  constructor(private readonly em: EntityManager) {}

  /** @throws InsufficientCoins; RangeError, ReferenceTaken */
  async spend(movement: Movement<SpendKind>): Promise<Transferred> {
    requireAmount(movement.amount);
    const id = newId();
    if (await this.take(id, movement)) return { transferId: id };
    // Not enough coins, or spent before: the ledger tells which, with the account locked.
    return this.em.fork().transactional((em) => spend(em, movement));
  }

  private async take(id: string, movement: Movement<SpendKind>): Promise<boolean> {
    this.statement ??= this.prepare();
    const counterpartId = SYSTEM_ACCOUNTS[COUNTERPARTS[movement.kind]];
    const pool = await this.em.getConnection().getNativeClient();
    try {
      const statement = this.statement({ ...movement, id, counterpartId });
      return (await countPrepared(pool, statement)) > 0;
    } catch (error) {
      if ((error as { code?: string }).code === UNIQUE_VIOLATION) return false;
      throw error;
    }
  }

  private prepare() {
    return prepare<SpendValues, unknown>((valueOf) => {
      const statement = sql`
        with account as (
          update coin_accounts set posted = posted - ${valueOf('amount')}::bigint
          where user_id = ${valueOf('userId')}::uuid
            and posted - held >= ${valueOf('amount')}::bigint
          returning id
        )
        insert into coin_transfers
          (id, account_id, debit_account_id, credit_account_id, amount,
           kind, phase, reference, created_at)
        select ${valueOf('id')}::uuid, id, id, ${valueOf('counterpartId')}::uuid,
               ${valueOf('amount')}::bigint, ${valueOf('kind')}, 'SINGLE', ${valueOf('reference')}, now()
        from account`;
      return { compile: () => statement.compile(this.em.getConnection().getClient()) };
    });
  }
}
