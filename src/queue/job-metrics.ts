import { Injectable } from '@nestjs/common';
import type { Histogram } from 'prom-client';
import { Metrics } from '../core/metrics/metrics.js';

/** How an attempt can end; see docs/operate.md. */
const JOB_OUTCOMES = [
  'completed',
  'refused',
  'retried',
  'dead_letter',
  'interrupted',
  'lease_lost',
] as const;

export type JobOutcome = (typeof JOB_OUTCOMES)[number];

/** Seconds. */
const DURATION_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
/** Seconds. */
const WAIT_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200];

/** Measures the attempts that this process makes. */
@Injectable()
export class JobMetrics {
  private readonly durations: Histogram<'type' | 'outcome'>;
  private readonly waits: Histogram<'type'>;

  constructor(metrics: Metrics) {
    this.durations = metrics.histogram({
      name: 'atelier_job_duration_seconds',
      help: 'From taking a row to settling it',
      labels: ['type', 'outcome'],
      buckets: DURATION_BUCKETS,
    });
    this.waits = metrics.histogram({
      name: 'atelier_job_wait_seconds',
      help: 'From the time when a row was due to the time when it was taken',
      labels: ['type'],
      buckets: WAIT_BUCKETS,
    });
  }

  /** Counts from zero, so that the first dead letter is seen as a rise. */
  expect(job: string): void {
    for (const outcome of JOB_OUTCOMES) this.durations.zero({ type: job, outcome });
    this.waits.zero({ type: job });
  }

  taken(job: string, waitedSeconds: number): void {
    this.waits.observe({ type: job }, waitedSeconds);
  }

  ended(job: string, outcome: JobOutcome, seconds: number): void {
    this.durations.observe({ type: job, outcome }, seconds);
  }
}
