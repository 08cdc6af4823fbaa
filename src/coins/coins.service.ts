import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { ReadDatabase } from '../core/database/read-database.js';
import { RowsById } from '../core/database/rows-by-id.js';
import type { Page } from '../core/paging.js';
import { requireAmount } from './amount.js';
import type { TransferAnswer, TransferQuery } from './coins.schema.js';
import { postHold, voidHold } from './holds.js';
import {
  type Balance,
  clawBack,
  credit,
  type CreditKind,
  type Held,
  hold,
  type HoldKind,
  type Movement,
  NO_COINS,
  type SpendKind,
  type Transferred,
} from './ledger.js';
import { Spending } from './spending.js';
import { listTransfers } from './transfer.queries.js';

/** The table as the query sees it, with PostgreSQL's names. */
interface AccountTables {
  coin_accounts: { user_id: string; posted: string; held: string };
}

/**
 * The coins of users. What is written here is a transaction of its own; who has one already calls the
 * functions of ledger.ts and holds.ts, which say what each of these does and throws.
 */
@Injectable()
export class Coins {
  private readonly balances: RowsById<AccountTables, Balance & { userId: string }>;
  private readonly spending: Spending;

  constructor(
    private readonly em: EntityManager,
    private readonly lists: ReadDatabase,
  ) {
    this.spending = new Spending(em);
    this.balances = new RowsById(em, {
      query: (database, ids) =>
        database
          .selectFrom('coin_accounts')
          .select([
            'user_id as userId',
            sql<number>`posted::float8`.as('posted'),
            sql<number>`held::float8`.as('held'),
            sql<number>`(posted - held)::float8`.as('available'),
          ])
          .where(sql<boolean>`user_id = any (${ids}::uuid[])`),
      idOf: ({ userId }) => userId,
    });
  }

  /** Of all who are asked for together, whoever asks, by one query. */
  async balance(userId: string): Promise<Balance> {
    const [account] = await this.balances.find(userId);
    if (!account) return NO_COINS;
    const { posted, held, available } = account;
    return { posted, held, available };
  }

  /** What each of these users can spend. */
  async available(userIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const found = await Promise.all(
      userIds.map(async (id) => [id, (await this.balance(id)).available] as const),
    );
    return new Map(found);
  }

  /** What each of these users has spent: what was charged, without what was refunded. */
  async spent(userIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const rows = await this.em.fork().execute<{ userId: string; spent: number }[]>(
      `select user_id as "userId",
              sum(case transfers.kind when 'REFUND' then -amount else amount end)::float8 as spent
       from coin_accounts as accounts join coin_transfers as transfers on account_id = accounts.id
       where user_id = any (?::uuid[])
         and transfers.kind in ('GENERATION', 'REFUND') and phase in ('SINGLE', 'POST')
       group by user_id`,
      [`{${userIds.join()}}`],
    );
    return new Map(rows.map(({ userId, spent }) => [userId, spent]));
  }

  /** Whether so much, from 1, is available now; only spending it decides. @throws RangeError */
  async canAfford(userId: string, amount: number): Promise<boolean> {
    requireAmount(amount);
    return (await this.balance(userId)).available >= amount;
  }

  /** Gives coins, from 1 to 2^53 - 1. @throws Problem `too-many-coins`; RangeError, ReferenceTaken */
  credit(movement: Movement<CreditKind>): Promise<Transferred> {
    return this.write((em) => credit(em, movement));
  }

  /**
   * Takes back what was paid back, also into debt.
   *
   * @throws Problem `too-many-coins`; RangeError, ReferenceTaken
   */
  clawBack(movement: Omit<Movement<'CLAWBACK'>, 'kind'>): Promise<Transferred> {
    return this.write((em) => clawBack(em, movement));
  }

  /** Puts coins on hold until {@link post} or {@link void}. @throws InsufficientCoins; RangeError, ReferenceTaken */
  hold(movement: Movement<HoldKind>): Promise<Held> {
    return this.write((em) => hold(em, movement));
  }

  /**
   * Charges all or part of a hold; the rest is free again.
   *
   * @param amount from 1 to what is held
   * @returns false when the hold has ended before
   * @throws RangeError for any other amount; Error when there is no such hold
   */
  post(holdId: string, amount: number): Promise<boolean> {
    return this.write((em) => postHold(em, holdId, amount));
  }

  /**
   * Sets all of a hold free.
   *
   * @returns false when it has ended before
   * @throws Error when there is no such hold
   */
  void(holdId: string, phase: 'VOID' | 'EXPIRE' = 'VOID'): Promise<boolean> {
    return this.write((em) => voidHold(em, holdId, phase));
  }

  /** Hold and charge in one, by one statement. @throws InsufficientCoins; RangeError, ReferenceTaken */
  spend(movement: Movement<SpendKind>): Promise<Transferred> {
    return this.spending.spend(movement);
  }

  /** A page of what moved the coins of a user, the newest first. */
  history(userId: string, query: TransferQuery): Promise<Page<TransferAnswer>> {
    return this.lists.read((server) => listTransfers(server, userId, query));
  }

  private write<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    return this.em.fork().transactional(work);
  }
}
