import { Coins } from '../src/coins/coins.service.js';
import type { Balance } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { LedgerProof } from '../src/coins/administration/ledger-proof.js';
import type { TestingApp } from './testing-app.js';

/** What a sound ledger is told to be. */
export const SOUND = { differences: [], differenceCount: 0, sum: 0 };

export const coinsOf = ({ app }: TestingApp): Coins => app.get(Coins, { strict: false });
export const prove = ({ app }: TestingApp) => app.get(LedgerProof, { strict: false }).prove();

/** Somebody who cannot sign in, and takes no time to register. @returns the id */
export async function somebody({ database }: TestingApp): Promise<string> {
  const id = newId();
  await database.query(
    `insert into users (id, email, created_at, updated_at) values ($1, $2, now(), now())`,
    [id, `${id}@example.com`],
  );
  return id;
}

/** {@link somebody} with coins. */
export async function somebodyWith(app: TestingApp, amount: number): Promise<string> {
  const userId = await somebody(app);
  await coinsOf(app).credit({ userId, amount, kind: 'PURCHASE', reference: newId() });
  return userId;
}

/** What the tables say, without asking the product. */
export async function storedBalance({ database }: TestingApp, userId: string): Promise<Balance> {
  const [found] = await database.query<{ posted: string; held: string }>(
    'select posted, held from coin_accounts where user_id = $1',
    [userId],
  );
  const [posted, held] = [Number(found?.posted ?? 0), Number(found?.held ?? 0)];
  return { posted, held, available: posted - held };
}

/** How many transfers an account has, endings of holds among them. */
export async function transferCount({ database }: TestingApp, userId: string): Promise<number> {
  const rows = await database.query<{ count: number }>(
    `select count(*)::int as count from coin_transfers join coin_accounts
       on coin_accounts.id = account_id where user_id = $1`,
    [userId],
  );
  return rows[0]?.count ?? 0;
}

/** What became of each of many attempts, and how often: `done`, or the code of its problem. */
export async function outcomes(attempts: PromiseLike<unknown>[]): Promise<Record<string, number>> {
  const settled = await Promise.allSettled(attempts);
  const counts: Record<string, number> = {};
  for (const each of settled) {
    const name = each.status === 'fulfilled' ? 'done' : String(each.reason.code ?? each.reason);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
