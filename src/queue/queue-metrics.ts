import { Injectable, type OnModuleInit } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Reading } from '../core/metrics/collection.js';
import { Metrics } from '../core/metrics/metrics.js';
import type { JobDefinition } from './job.js';
import { JobRegistry } from './job-registry.js';
import { QueueFigures } from './queue-figures.js';

/** Those that an operator has not dealt with: the resolved ones only grow. */
const OPEN_STATUSES = ['FAILED', 'RETRYING'] as const;

const COUNT_FAILED = `
  select type, status, count(*) as jobs from failed_jobs where status in (?, ?)
  group by type, status`;

/**
 * What waits, as the database and the queue tell when somebody looks. It is of all processes
 * together, and each worker tells the same.
 */
@Injectable()
export class QueueMetrics implements OnModuleInit {
  constructor(
    private readonly metrics: Metrics,
    private readonly registry: JobRegistry,
    private readonly figures: QueueFigures,
    private readonly em: EntityManager,
  ) {}

  onModuleInit(): void {
    this.measureDepth();
    this.measureDueRows();
    this.measureFailedJobs();
  }

  private measureDepth(): void {
    const gauge = this.metrics.gauge({
      name: 'atelier_queue_depth',
      help: 'Carriers that wait in the queue',
      labels: ['type'],
    });
    const depthOf = async (job: JobDefinition): Promise<Reading> => ({
      gauge,
      labels: { type: job.name },
      value: await this.figures.waiting(job),
    });
    this.metrics.collect({
      name: 'queue',
      gauges: [gauge],
      read: () => Promise.all(this.registry.list().map(depthOf)),
    });
  }

  private measureDueRows(): void {
    const due = this.metrics.gauge({
      name: 'atelier_due_rows',
      help: 'Rows that are due and that nobody works on',
      labels: ['type'],
    });
    const oldest = this.metrics.gauge({
      name: 'atelier_oldest_due_age_seconds',
      help: 'For how long the oldest row that is due has been so; 0 when none is',
      labels: ['type'],
    });
    const read = async (job: JobDefinition): Promise<Reading[]> => {
      const labels = { type: job.name };
      const rows = await this.figures.rows(job);
      return [
        { gauge: due, labels, value: rows.due },
        { gauge: oldest, labels, value: rows.oldestDueSeconds },
      ];
    };
    this.metrics.collect({
      name: 'due_rows',
      gauges: [due, oldest],
      read: async () => (await Promise.all(this.registry.list().map(read))).flat(),
    });
  }

  private measureFailedJobs(): void {
    const gauge = this.metrics.gauge({
      name: 'atelier_failed_jobs',
      help: 'Dead letters that are not resolved',
      labels: ['type', 'status'],
    });
    const readingOf = (type: string, status: string, value: number): Reading => ({
      gauge,
      labels: { type, status },
      value,
    });
    const read = async (): Promise<Reading[]> => {
      const counted = await this.em
        .fork()
        .execute<{ type: string; status: string; jobs: string }[]>(COUNT_FAILED, [
          ...OPEN_STATUSES,
        ]);
      const none = this.registry
        .list()
        .flatMap(({ name }) => OPEN_STATUSES.map((status) => readingOf(name, status, 0)));
      const some = counted.map(({ type, status, jobs }) => readingOf(type, status, Number(jobs)));
      return [...none, ...some];
    };
    this.metrics.collect({ name: 'failed_jobs', gauges: [gauge], read });
  }
}
