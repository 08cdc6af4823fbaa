import { defineEntity, p } from '@mikro-orm/core';
import { MOST_COINS } from './amount.js';
import {
  CoinAccount,
  SYSTEM_ACCOUNT_LIST,
  type SystemAccount,
  SYSTEM_ACCOUNTS,
} from './coin-account.entity.js';

/** What coins move for. */
export const TRANSFER_KINDS = [
  'PURCHASE',
  'REWARD',
  'GENERATION',
  'REFUND',
  'CLAWBACK',
  'ADJUSTMENT',
] as const;
export type TransferKind = (typeof TRANSFER_KINDS)[number];

/** A transfer at once (SINGLE), a HOLD, or one of the endings of a hold. */
export const TRANSFER_PHASES = ['SINGLE', 'HOLD', 'POST', 'VOID', 'EXPIRE'] as const;
export type TransferPhase = (typeof TRANSFER_PHASES)[number];

/** The account on the other side of a user's, by what the coins move for. */
export const COUNTERPARTS: Readonly<Record<TransferKind, SystemAccount>> = {
  PURCHASE: 'ISSUED',
  REWARD: 'PROMOTIONS',
  GENERATION: 'REVENUE',
  REFUND: 'REVENUE',
  CLAWBACK: 'ISSUED',
  ADJUSTMENT: 'ISSUED',
};

/** Kinds that only bring coins to users, or only take them; an ADJUSTMENT may do either. */
const BRINGING = ['PURCHASE', 'REWARD', 'REFUND'] as const satisfies TransferKind[];
const TAKING = ['GENERATION', 'CLAWBACK'] as const satisfies TransferKind[];

const listOf = (kinds: readonly TransferKind[]) => kinds.map((kind) => `'${kind}'`).join(', ');

/** The id of the account that a kind must have on the other side. */
const COUNTERPART = `case kind ${Object.entries(COUNTERPARTS)
  .map(([kind, account]) => `when '${kind}' then '${SYSTEM_ACCOUNTS[account]}'::uuid`)
  .join(' ')} else null::uuid end`;

const CoinTransferSchema = defineEntity({
  name: 'CoinTransfer',
  tableName: 'coin_transfers',
  comment: 'append-only: coins that moved from one account to another, or were on hold for it',
  properties: {
    id: p.uuid().primary(),
    /** The user's account, which is one of the two. The other is a system account. */
    accountId: () =>
      p.manyToOne(CoinAccount).mapToPk().fieldName('account_id').deleteRule('restrict'),
    /** Where the coins come from. No foreign key: every spend would lock the one row of REVENUE. */
    debitAccountId: p.uuid(),
    /** Where they go to; no foreign key either. */
    creditAccountId: p.uuid(),
    /** Of a POST what is really charged, else what the whole transfer or hold is about. */
    amount: p.bigint('number'),
    kind: p.enum(TRANSFER_KINDS),
    phase: p.enum(TRANSFER_PHASES),
    /** What it is for, such as the id of a generation; nothing about a person. Endings have their hold's. */
    reference: p.string().length(200),
    /** The hold that an ending ends. */
    holdId: () =>
      p
        .manyToOne(CoinTransfer)
        .mapToPk()
        .fieldName('hold_id')
        .nullable()
        .deleteRule('restrict')
        .index(false),
    createdAt: p.datetime(3),
  },
  indexes: [
    // The history of an account, and the order in which the proof reads all of them.
    { properties: ['accountId', 'createdAt', 'id'] },
    {
      name: 'coin_transfers_reference_unique',
      expression: `create unique index coin_transfers_reference_unique on coin_transfers (reference, kind) where phase in ('SINGLE', 'HOLD')`,
    },
    {
      name: 'coin_transfers_hold_id_unique',
      expression: `create unique index coin_transfers_hold_id_unique on coin_transfers (hold_id) where hold_id is not null`,
    },
  ],
  // As PostgreSQL itself would write them: so that MikroORM sees no difference.
  checks: [
    {
      name: 'coin_transfers_amount_is_whole_and_positive',
      expression: `amount >= 1 and amount <= ${MOST_COINS}`,
    },
    {
      name: 'coin_transfers_endings_have_holds',
      expression: `(phase in ('POST', 'VOID', 'EXPIRE')) = (hold_id is not null)`,
    },
    {
      name: 'coin_transfers_accounts_are_of_the_kind',
      expression: `(account_id = debit_account_id or account_id = credit_account_id) and account_id <> all (array[${SYSTEM_ACCOUNT_LIST}])
        and case account_id when debit_account_id then credit_account_id else debit_account_id end = ${COUNTERPART}
        and case account_id when debit_account_id then kind <> all (array[${listOf(BRINGING)}])
                            else kind <> all (array[${listOf(TAKING)}]) end`,
    },
    { name: 'coin_transfers_has_reference', expression: `reference <> ''` },
  ],
});

/** A fact about coins. Neither it nor the running product can change or delete it. */
export class CoinTransfer extends CoinTransferSchema.class {}
CoinTransferSchema.setClass(CoinTransfer);
