import { Module, type OnModuleInit } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { AttemptCounts } from './attempt-counts.js';
import { DeadLetters } from './dead-letters.js';
import { Dispatcher } from './dispatcher.js';
import { JobRegistry } from './job-registry.js';
import { QueueMetrics } from './queue-metrics.js';

const ABANDONED_EVERY_MS = 5_000;
const FOLD_EVERY_MS = 5 * 60_000;

/** What the worker adds to the queue: due rows that lost their carrier get a new one. */
@Module({ imports: [ReconcilerModule], providers: [QueueMetrics] })
export class QueueWorkerModule implements OnModuleInit {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly registry: JobRegistry,
    private readonly dispatcher: Dispatcher,
    private readonly letters: DeadLetters,
    private readonly counts: AttemptCounts,
  ) {}

  onModuleInit(): void {
    for (const job of this.registry.list()) {
      this.reconciler.register({
        name: `due rows of ${job.name}`,
        run: () => this.dispatcher.sweep(job),
      });
      this.reconciler.register({
        name: `dead letters of ${job.name} whose row is gone`,
        everyMs: ABANDONED_EVERY_MS,
        run: () => this.letters.resolveAbandoned(job),
      });
    }
    this.reconciler.register({
      name: 'settled attempts to add up',
      everyMs: FOLD_EVERY_MS,
      run: () => this.counts.fold(),
    });
  }
}
