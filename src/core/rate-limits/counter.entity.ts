import { defineEntity, p } from '@mikro-orm/core';

const CounterSchema = defineEntity({
  name: 'Counter',
  tableName: 'counters',
  comment: 'unlogged: how often something happened lately, for limits that all replicas share',
  properties: {
    /** What is counted, and of whom: never an address or a secret in clear. */
    key: p.string().length(200).primary(),
    count: p.integer(),
    /** When the window ends that the count is of. */
    resetsAt: p.datetime(3).index(),
  },
});

/** A count within a window of time. A crash of the database may forget it, and harms nothing by that. */
export class Counter extends CounterSchema.class {}
CounterSchema.setClass(Counter);
