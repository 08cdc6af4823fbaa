import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Idempotency } from '../http/idempotency.js';
import { Reconciler } from './reconciler.js';
import { ReconcilerMetrics } from './reconciler-metrics.js';
import { Timers } from './timers.js';

const HOUR_MS = 60 * 60 * 1_000;

/** The reconciler, for the worker. */
@Module({
  imports: [ScheduleModule.forRoot()],
  providers: [Reconciler, ReconcilerMetrics, Timers],
  exports: [Reconciler],
})
export class ReconcilerModule {
  constructor(reconciler: Reconciler, idempotency: Idempotency) {
    reconciler.register({
      name: 'expired idempotency keys',
      everyMs: HOUR_MS,
      run: () => idempotency.forgetExpired(),
    });
  }
}
