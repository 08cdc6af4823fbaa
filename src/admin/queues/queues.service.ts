import { Injectable } from '@nestjs/common';
import { inTime } from '../../core/in-time.js';
import { AttemptCounts } from '../../queue/attempt-counts.js';
import type { JobDefinition } from '../../queue/job.js';
import { JobRegistry } from '../../queue/job-registry.js';
import { QueueFigures } from '../../queue/queue-figures.js';
import type { QueueMetricsAnswer } from './queue-metrics.schema.js';

/** How long the queue may take to answer before it counts as away, in milliseconds. */
const QUEUE_PATIENCE_MS = 1_000;

/** Tells how the work of each job stands. All but what waits in the queue is PostgreSQL's to know. */
@Injectable()
export class QueuesService {
  constructor(
    private readonly registry: JobRegistry,
    private readonly figures: QueueFigures,
    private readonly counts: AttemptCounts,
  ) {}

  async metrics(): Promise<QueueMetricsAnswer> {
    const countsOf = await this.counts.read();
    const jobs = this.registry.list().toSorted((a, b) => a.name.localeCompare(b.name));
    const queues = jobs.map(async (job) => {
      const [waiting, rows] = await Promise.all([this.waiting(job), this.figures.rows(job)]);
      const { ever, perMinute } = countsOf(job);
      const { completed, failed } = ever;
      return { name: job.name, waiting, completed, failed, ...rows, rates: perMinute };
    });
    return { queues: await Promise.all(queues) };
  }

  private async waiting(job: JobDefinition): Promise<number | null> {
    return inTime(this.figures.waiting(job), QUEUE_PATIENCE_MS).catch(() => null);
  }
}
