import { z } from 'zod';
import { givenId } from '../../core/ids.js';
import { text } from '../../core/text.js';
import { balanceSchema } from '../coins.schema.js';

export const accountParams = z.strictObject({ id: givenId });

export const adjustmentSchema = z
  .strictObject({
    amount: z
      .int()
      .refine((amount) => amount !== 0, 'must not be 0')
      .describe('Coins to give; below 0, to deduct. Not 0.'),
    reason: text({ min: 1, max: 500 }).describe(
      'For the audit. The person whom it is about can read it in their export.',
    ),
  })
  .meta({ id: 'CoinAdjustment' });

export const adjustedSchema = z
  .object({ transferId: z.uuid(), balance: balanceSchema })
  .meta({ id: 'CoinAdjusted' });

const whole = z.int().min(0);
const coins = z.object({ posted: z.number(), held: z.number() });

export const ledgerProofSchema = z
  .object({
    accounts: whole.describe('How many accounts there are, the three of the system among them.'),
    transfers: whole.describe('How many transfers were read.'),
    differences: z
      .array(
        z.object({
          accountId: z.uuid(),
          userId: z.uuid().nullable(),
          stored: coins.describe('What the account says.'),
          computed: coins.describe('What its transfers come to.'),
          misfits: whole.describe('How many endings do not fit the hold that they end.'),
        }),
      )
      .describe('Accounts with anything wrong: none in a sound ledger. The first hundred.'),
    differenceCount: whole.describe('How many such accounts there are.'),
    balances: z
      .object({ issued: z.number(), revenue: z.number(), promotions: z.number() })
      .describe('Of the system accounts, as their transfers come to.'),
    sum: z.number().describe('Of all balances, those of users as stored: 0 in a sound ledger.'),
  })
  .meta({ id: 'LedgerProof' });

export type Adjustment = z.output<typeof adjustmentSchema>;
export type AdjustedAnswer = z.output<typeof adjustedSchema>;
export type ProofAnswer = z.output<typeof ledgerProofSchema>;
