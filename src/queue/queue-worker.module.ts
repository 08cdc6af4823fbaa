import { Module, type OnModuleInit } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { Dispatcher } from './dispatcher.js';
import { JobRegistry } from './job-registry.js';
import { QueueMetrics } from './queue-metrics.js';

/** What the worker adds to the queue: due rows that lost their carrier get a new one. */
@Module({ imports: [ReconcilerModule], providers: [QueueMetrics] })
export class QueueWorkerModule implements OnModuleInit {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly registry: JobRegistry,
    private readonly dispatcher: Dispatcher,
  ) {}

  onModuleInit(): void {
    for (const job of this.registry.list()) {
      this.reconciler.register({
        name: `due rows of ${job.name}`,
        run: () => this.dispatcher.sweep(job),
      });
    }
  }
}
