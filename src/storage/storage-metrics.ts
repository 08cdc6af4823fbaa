import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from 'prom-client';
import { secondsSince } from '../core/metrics/duration.js';
import { Metrics } from '../core/metrics/metrics.js';

/** How a call of the store can end: `aborted` when its caller wanted no more of it. */
export type StorageOutcome = 'completed' | 'not_found' | 'aborted' | 'failed';

/** Seconds. */
const BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** Measures what is asked of the store. */
@Injectable()
export class StorageMetrics {
  private readonly durations: Histogram<'driver' | 'operation' | 'outcome'>;
  private readonly bytes: Counter<'driver' | 'direction'>;

  constructor(metrics: Metrics) {
    this.durations = metrics.histogram({
      name: 'atelier_storage_duration_seconds',
      help: 'Calls of the store',
      labels: ['driver', 'operation', 'outcome'],
      buckets: BUCKETS,
    });
    this.bytes = metrics.counter({
      name: 'atelier_storage_bytes_total',
      help: 'Bytes that were read from the store and written to it',
      labels: ['driver', 'direction'],
    });
  }

  ended(driver: string, operation: string, outcome: StorageOutcome, startedAt: number): void {
    this.durations.observe({ driver, operation, outcome }, secondsSince(startedAt));
  }

  /** It is told where nobody could catch an error, so what is no number of bytes is passed over. */
  moved(driver: string, direction: 'read' | 'written', bytes: number): void {
    if (Number.isFinite(bytes) && bytes >= 0) this.bytes.inc({ driver, direction }, bytes);
  }
}
