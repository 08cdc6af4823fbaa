import { defineEntity, p } from '@mikro-orm/core';

const TimerSchema = defineEntity({
  name: 'Timer',
  tableName: 'timers',
  comment: 'When work that runs by the clock is due next, and who runs it now',
  properties: {
    name: p.string().length(100).primary(),
    nextRunAt: p.datetime(3),
    leaseId: p.uuid().nullable(),
    leasedUntil: p.datetime(3).nullable(),
    /** When it last ran to its end. */
    lastRunAt: p.datetime(3).nullable(),
  },
});

/** Work that one process at a time does by the clock; its lease is renewed while it runs. */
export class Timer extends TimerSchema.class {}
TimerSchema.setClass(Timer);
