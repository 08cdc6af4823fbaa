import { z } from 'zod';
import { pageOf, pageQuery } from '../core/paging.js';
import { MOST_COINS } from './amount.js';
import { TRANSFER_KINDS, TRANSFER_PHASES } from './coin-transfer.entity.js';

const someCoins = z.int().min(0).max(MOST_COINS);

export const balanceSchema = z
  .object({
    posted: z
      .int()
      .describe('All coins, those on hold among them; below 0 after a refund of what was spent.'),
    held: someCoins.describe('Coins on hold for what is being made.'),
    available: z.int().describe('What can be spent; below 0 it is a debt.'),
  })
  .meta({ id: 'CoinBalance' });

const transferKind = z.enum(TRANSFER_KINDS).meta({ id: 'CoinTransferKind' });
const transferPhase = z.enum(TRANSFER_PHASES).meta({ id: 'CoinTransferPhase' });

export const transferSchema = z
  .object({
    id: z.uuid(),
    kind: transferKind.describe('What the coins moved for.'),
    phase: transferPhase.describe(
      '`SINGLE`: at once. `HOLD`: reserved; `POST`: charged, all of a hold or part of it; `VOID` and ' +
        '`EXPIRE`: given back.',
    ),
    amount: someCoins.min(1),
    change: z
      .int()
      .describe(
        'What it changed of `posted`: 0 when coins were only put on hold, or were given back.',
      ),
    reference: z.string().describe('What for, such as the id of a generation.'),
    holdId: z.uuid().nullable().describe('The transfer that put on hold what this one ends.'),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'CoinTransfer' });

export const transferPageSchema = pageOf(transferSchema).meta({ id: 'CoinTransferPage' });

export const transferQuery = pageQuery({ kind: transferKind.optional() });

export type TransferAnswer = z.output<typeof transferSchema>;
export type TransferQuery = z.output<typeof transferQuery>;
