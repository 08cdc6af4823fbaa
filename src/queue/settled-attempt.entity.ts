import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../core/ids.js';

/** How an attempt can end that counts: with its work done, or not. */
const SETTLED_OUTCOMES = ['completed', 'refused', 'retried', 'dead_letter'] as const;
export type SettledOutcome = (typeof SETTLED_OUTCOMES)[number];

const SettledAttemptSchema = defineEntity({
  name: 'SettledAttempt',
  tableName: 'settled_attempts',
  comment: 'How attempts ended in the last minutes; older ones are counted in attempt_totals',
  properties: {
    id: p.uuid().primary(),
    /** The name of the job. */
    type: p.string().length(100),
    outcome: p.enum(SETTLED_OUTCOMES),
    /** By the database's clock, as all replicas are counted together. */
    settledAt: p.datetime(3).defaultRaw('now()').index(),
  },
});

/** An attempt that ended; written in the transaction that settles its row. */
export class SettledAttempt extends SettledAttemptSchema.class {
  constructor(type: string, outcome: SettledOutcome) {
    super();
    this.id = newId();
    this.type = type;
    this.outcome = outcome;
  }
}
SettledAttemptSchema.setClass(SettledAttempt);

const AttemptTotalSchema = defineEntity({
  name: 'AttemptTotal',
  tableName: 'attempt_totals',
  comment: 'How many attempts have ended how, but for those that are in settled_attempts still',
  properties: {
    type: p.string().length(100).primary(),
    outcome: p.enum(SETTLED_OUTCOMES).primary(),
    attempts: p.bigint('number'),
  },
});

/** A sum that lasts. One process at a time adds to it, so that no attempt waits for it. */
export class AttemptTotal extends AttemptTotalSchema.class {}
AttemptTotalSchema.setClass(AttemptTotal);
