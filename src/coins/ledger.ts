import type { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../core/ids.js';
import { Problem } from '../core/problems/problem.js';
import { MOST_COINS, requireAmount } from './amount.js';
import { SYSTEM_ACCOUNTS } from './coin-account.entity.js';
import { COUNTERPARTS, type TransferKind } from './coin-transfer.entity.js';
import { InsufficientCoins, ReferenceTaken, tooManyCoins } from './coins.problems.js';

/**
 * The ledger: every function writes in the transaction of the EntityManager that it is given, so that
 * coins move with their effect or not at all. Races are decided by the lock of the account's row and
 * by unique constraints; in a transaction that locks other rows, too, the account comes last.
 *
 * A reference is the idempotency of a transfer: the same one again, with the same content, is answered
 * with the first transfer; with other content it is a `ReferenceTaken`.
 */

export type CreditKind = 'PURCHASE' | 'REWARD' | 'REFUND' | 'ADJUSTMENT';
export type SpendKind = 'GENERATION' | 'ADJUSTMENT';
export type HoldKind = 'GENERATION';

/** Coins of a user that move. */
export interface Movement<Kind extends TransferKind> {
  readonly userId: string;
  /** From 1 to 2^53 - 1. */
  readonly amount: number;
  readonly kind: Kind;
  /** What for: unique for its kind, at most 200 characters, and nothing about a person. */
  readonly reference: string;
}

/** What a user has. */
export interface Balance {
  /** All coins, those on hold among them; below 0 after a clawback of what was spent already. */
  readonly posted: number;
  /** Coins on hold. */
  readonly held: number;
  /** What can be spent: `posted` without `held`. */
  readonly available: number;
}

/** The ids that transfers are known by. */
export interface Transferred {
  readonly transferId: string;
}
export interface Held {
  readonly holdId: string;
}

/** Of whom the ledger knows nothing. */
export const NO_COINS: Balance = { posted: 0, held: 0, available: 0 };

/** How a movement changes the account. */
interface Entry extends Movement<TransferKind> {
  readonly phase: 'SINGLE' | 'HOLD';
  readonly direction: 'to user' | 'from user';
  /** Whether it may take more than is available. */
  readonly mayOwe?: boolean;
}

interface Account extends Balance {
  readonly id: string;
}

/** Gives a user coins. @throws Problem `too-many-coins`; RangeError, ReferenceTaken */
export async function credit(
  em: EntityManager,
  movement: Movement<CreditKind>,
): Promise<Transferred> {
  const id = await enter(em, { ...movement, phase: 'SINGLE', direction: 'to user' });
  return { transferId: id };
}

/** Takes coins for good. @throws InsufficientCoins; RangeError, ReferenceTaken */
export async function spend(
  em: EntityManager,
  movement: Movement<SpendKind>,
): Promise<Transferred> {
  const id = await enter(em, { ...movement, phase: 'SINGLE', direction: 'from user' });
  return { transferId: id };
}

/**
 * Takes coins back that were paid back, whether they are there or not: what is missing is a debt, and
 * nothing can be spent until it is made good.
 *
 * @throws Problem `too-many-coins`; RangeError, ReferenceTaken
 */
export async function clawBack(
  em: EntityManager,
  movement: Omit<Movement<'CLAWBACK'>, 'kind'>,
): Promise<Transferred> {
  const entry = { ...movement, kind: 'CLAWBACK', phase: 'SINGLE', direction: 'from user' } as const;
  return { transferId: await enter(em, { ...entry, mayOwe: true }) };
}

/**
 * Puts coins on hold, until `postHold` charges for what came of it or `voidHold` sets them free: see
 * holds.ts.
 *
 * @throws InsufficientCoins; RangeError, ReferenceTaken
 */
export async function hold(em: EntityManager, movement: Movement<HoldKind>): Promise<Held> {
  return { holdId: await enter(em, { ...movement, phase: 'HOLD', direction: 'from user' }) };
}

/** What a user has, as the transaction of `em` sees it. */
export async function balanceOf(em: EntityManager, userId: string): Promise<Balance> {
  const [account] = await em.execute<Account[]>(
    `select ${BALANCE} from coin_accounts where user_id = ?`,
    [userId],
  );
  return account ? { ...account } : NO_COINS;
}

/**
 * {@link balanceOf}, which then stays as it is until the transaction of `em` ends, but for what that
 * does itself.
 *
 * @throws Error when there is no such user
 */
export async function lockBalance(em: EntityManager, userId: string): Promise<Balance> {
  requireTransaction(em);
  const { posted, held, available } = await lockOrOpenAccount(em, userId);
  return { posted, held, available };
}

const BALANCE = `posted::float8 as posted, held::float8 as held, (posted - held)::float8 as available`;

/** Writes a transfer down, unless it is there already. @returns its id, or that of the first */
async function enter(em: EntityManager, entry: Entry): Promise<string> {
  requireAmount(entry.amount);
  requireTransaction(em);
  const account = await lockAccount(em, entry);
  // Only now: whoever held the lock before may have written it.
  const first = await findFirst(em, entry);
  if (first !== undefined) return first;
  if (!account) throw new InsufficientCoins({ need: entry.amount, have: 0 });
  requirePossible(account, entry);
  return write(em, account, entry);
}

/** Else an effect could be rolled back without its coins. */
export function requireTransaction(em: EntityManager): void {
  if (!em.isInTransaction()) throw new Error('Coins move in a transaction of their effect');
}

/** @returns undefined when there is none, and the movement can do without one */
async function lockAccount(em: EntityManager, entry: Entry): Promise<Account | undefined> {
  const isNeeded = entry.direction === 'to user' || entry.mayOwe === true;
  return isNeeded ? lockOrOpenAccount(em, entry.userId) : findLocked(em, entry.userId);
}

async function lockOrOpenAccount(em: EntityManager, userId: string): Promise<Account> {
  const account = await findLocked(em, userId);
  if (account) return account;
  await openAccount(em, userId);
  const opened = await findLocked(em, userId);
  if (!opened) throw new Error(`There is no user ${userId}`);
  return opened;
}

async function findLocked(em: EntityManager, userId: string): Promise<Account | undefined> {
  const [account] = await em.execute<Account[]>(
    `select id, ${BALANCE} from coin_accounts where user_id = ? for no key update`,
    [userId],
  );
  return account;
}

/** Unless somebody else does at the same time. The user is locked first, as whoever changes it does. */
async function openAccount(em: EntityManager, userId: string): Promise<void> {
  await em.execute(
    `insert into coin_accounts (id, kind, user_id, created_at)
     select ?::uuid, 'USER', id, now() from users where id = ? for key share
     on conflict (user_id) do nothing`,
    [newId(), userId],
  );
}

/** @throws ReferenceTaken when the reference is that of another movement */
async function findFirst(em: EntityManager, entry: Entry): Promise<string | undefined> {
  const { kind, reference } = entry;
  const [first] = await em.execute<
    { id: string; userId: string; amount: number; phase: string; isDebit: boolean }[]
  >(
    `select transfers.id, user_id as "userId", amount::float8 as amount, phase,
            account_id = debit_account_id as "isDebit"
     from coin_transfers as transfers join coin_accounts on coin_accounts.id = account_id
     where transfers.kind = ? and reference = ? and phase in ('SINGLE', 'HOLD')`,
    [kind, reference],
  );
  if (!first) return undefined;
  const isSame =
    first.userId === entry.userId &&
    first.amount === entry.amount &&
    first.phase === entry.phase &&
    first.isDebit === (entry.direction === 'from user');
  if (!isSame) throw new ReferenceTaken(kind, reference);
  return first.id;
}

/** @throws InsufficientCoins; Problem `too-many-coins` */
function requirePossible({ posted, available }: Account, entry: Entry): void {
  const { amount, direction, mayOwe = false } = entry;
  if (direction === 'to user') {
    if (posted + amount > MOST_COINS) throw new Problem(tooManyCoins);
  } else if (mayOwe) {
    if (available - amount < -MOST_COINS) throw new Problem(tooManyCoins);
  } else if (available < amount) {
    throw new InsufficientCoins({ need: amount, have: available });
  }
}

/**
 * Waits for whoever is just writing the same reference down. It is somebody else's then: one's own
 * would have waited for the lock of the account.
 *
 * @throws ReferenceTaken; the transaction can go on
 */
async function write(em: EntityManager, account: Account, entry: Entry): Promise<string> {
  const { amount, direction, kind, phase, reference } = entry;
  const counterpart = SYSTEM_ACCOUNTS[COUNTERPARTS[kind]];
  const accounts = [counterpart, account.id];
  const [debit, credit] = direction === 'to user' ? accounts : accounts.toReversed();
  const posted = direction === 'to user' ? amount : -amount;
  const id = newId();
  const written = await em.execute(
    `with transfer as (
       insert into coin_transfers
         (id, account_id, debit_account_id, credit_account_id, amount, kind, phase, reference, created_at)
       values (?::uuid, ?::uuid, ?::uuid, ?::uuid, ?, ?, ?, ?, now())
       on conflict (reference, kind) where phase in ('SINGLE', 'HOLD') do nothing
       returning account_id
     )
     update coin_accounts set posted = posted + ?, held = held + ?
     from transfer where coin_accounts.id = account_id
     returning 1`,
    [
      ...[id, account.id, debit, credit, amount, kind, phase, reference],
      ...(phase === 'HOLD' ? [0, amount] : [posted, 0]),
    ],
  );
  if (written.length === 0) throw new ReferenceTaken(kind, reference);
  return id;
}
