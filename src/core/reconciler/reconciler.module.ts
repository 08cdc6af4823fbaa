import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Idempotency } from '../http/idempotency.js';
import { Counters } from '../rate-limits/counters.js';
import { Reconciler } from './reconciler.js';
import { ReconcilerMetrics } from './reconciler-metrics.js';
import { Timers } from './timers.js';

const MINUTE_MS = 60 * 1_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The reconciler, for the worker. */
@Module({
  imports: [ScheduleModule.forRoot()],
  providers: [Reconciler, ReconcilerMetrics, Timers],
  exports: [Reconciler],
})
export class ReconcilerModule {
  constructor(reconciler: Reconciler, idempotency: Idempotency, counters: Counters) {
    reconciler.register({
      name: 'expired idempotency keys',
      everyMs: HOUR_MS,
      run: () => idempotency.forgetExpired(),
    });
    reconciler.register({
      name: 'past counters',
      everyMs: MINUTE_MS,
      run: () => counters.forgetPast(),
    });
  }
}
