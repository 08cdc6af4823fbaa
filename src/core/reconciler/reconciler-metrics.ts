import { Injectable } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { Metrics } from '../metrics/metrics.js';

const OUTCOMES = ['completed', 'failed', 'interrupted'] as const;

/** Counts what the sweeps of this process do. */
@Injectable()
export class ReconcilerMetrics {
  private readonly found: Counter<'sweep'>;
  private readonly runs: Counter<'sweep' | 'outcome'>;

  constructor(metrics: Metrics) {
    this.found = metrics.counter({
      name: 'atelier_reconciler_found_total',
      help: 'What the sweeps found to put right',
      labels: ['sweep'],
    });
    this.runs = metrics.counter({
      name: 'atelier_reconciler_runs_total',
      help: 'Runs of the sweeps',
      labels: ['sweep', 'outcome'],
    });
  }

  /** Counts from zero, so that the first find is seen as a rise. */
  expect(sweep: string): void {
    this.found.inc({ sweep }, 0);
    for (const outcome of OUTCOMES) this.runs.inc({ sweep, outcome }, 0);
  }

  count(sweep: string, outcome: (typeof OUTCOMES)[number], found = 0): void {
    this.found.inc({ sweep }, found);
    this.runs.inc({ sweep, outcome });
  }
}
