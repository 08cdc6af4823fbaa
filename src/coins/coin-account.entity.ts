import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../auth/users/user.entity.js';
import { MOST_COINS } from './amount.js';

/** What coins come from and go to besides users, by fixed ids: no request has to look for them. */
export const SYSTEM_ACCOUNTS = {
  /** Coins that were sold; what is clawed back returns here. */
  ISSUED: '00000000-0000-8000-8000-000000000001',
  /** Coins that were spent. */
  REVENUE: '00000000-0000-8000-8000-000000000002',
  /** Coins that were given away. */
  PROMOTIONS: '00000000-0000-8000-8000-000000000003',
} as const;
export type SystemAccount = keyof typeof SYSTEM_ACCOUNTS;

const ACCOUNT_KINDS = ['USER', 'ISSUED', 'REVENUE', 'PROMOTIONS'] as const;

/** The ids of all system accounts, as a list in SQL. */
export const SYSTEM_ACCOUNT_LIST = Object.values(SYSTEM_ACCOUNTS)
  .map((id) => `'${id}'::uuid`)
  .join(', ');

/** The rows that `coin_accounts` has from its first moment on: migrations insert them with the table. */
export const INSERT_SYSTEM_ACCOUNTS = `insert into coin_accounts (id, kind, created_at) values ${Object.entries(
  SYSTEM_ACCOUNTS,
)
  .map(([kind, id]) => `('${id}', '${kind}', now())`)
  .join(', ')};`;

const CoinAccountSchema = defineEntity({
  name: 'CoinAccount',
  tableName: 'coin_accounts',
  comment: 'Who has coins; of users with what they have',
  properties: {
    id: p.uuid().primary(),
    kind: p.enum(ACCOUNT_KINDS),
    /** Null of system accounts. A user who is erased leaves a row that this goes on pointing to. */
    userId: () =>
      p.manyToOne(User).mapToPk().fieldName('user_id').nullable().deleteRule('restrict').unique(),
    /** Coins of a user, those on hold among them; below 0 after a clawback. Always 0 of system accounts. */
    posted: p.bigint('number').default(0),
    /** Coins of a user that are on hold. */
    held: p.bigint('number').default(0),
    createdAt: p.datetime(3),
  },
  indexes: [
    {
      name: 'coin_accounts_system_unique',
      expression: `create unique index coin_accounts_system_unique on coin_accounts (kind) where kind <> 'USER'`,
    },
  ],
  checks: [
    {
      name: 'coin_accounts_users_have_users',
      expression: `(kind = 'USER') = (user_id is not null)`,
    },
    {
      name: 'coin_accounts_system_is_computed',
      expression: `kind = 'USER' or (posted = 0 and held = 0)`,
    },
    {
      name: 'coin_accounts_bounds',
      expression: `held >= 0 and held <= ${MOST_COINS} and posted >= -${MOST_COINS} and posted <= ${MOST_COINS} and posted - held >= -${MOST_COINS}`,
    },
  ],
});

/**
 * An account of the ledger. What it has changes with a transfer alone: see ledger.ts and holds.ts. The
 * balance of a system account is computed from the transfers, so that its row is none that all spends
 * wait for.
 */
export class CoinAccount extends CoinAccountSchema.class {}
CoinAccountSchema.setClass(CoinAccount);
