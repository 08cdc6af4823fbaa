import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from 'prom-client';
import { secondsSince } from '../../core/metrics/duration.js';
import { Metrics } from '../../core/metrics/metrics.js';
import { inSpan } from '../../core/tracing/in-span.js';
import { DecoderCrashed, DecoderOutOfMemory, DecoderTimedOut } from '../decoding/decoder.js';

/**
 * What a conversion spends its time on, in this order: `fetch` the upload, `wait` for a child and
 * for memory, `decode` in a child, where all variants are made, and `store` the files.
 */
const STAGES = ['fetch', 'wait', 'decode', 'store'] as const;

export type ConversionStage = (typeof STAGES)[number];

const DEATHS = ['crashed', 'timed_out', 'out_of_memory'] as const;

/** Seconds. */
const BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

/** Measures the conversions of this process, stage by stage. */
@Injectable()
export class ConversionMetrics {
  private readonly stages: Histogram<'stage'>;
  private readonly deaths: Counter<'reason'>;

  constructor(metrics: Metrics) {
    this.stages = metrics.histogram({
      name: 'atelier_image_stage_duration_seconds',
      help: 'Stages of the conversion of a picture, also of those that fail',
      labels: ['stage'],
      buckets: BUCKETS,
    });
    this.deaths = metrics.counter({
      name: 'atelier_decoder_deaths_total',
      help: 'Decoding children that did not survive a picture',
      labels: ['reason'],
    });
    for (const stage of STAGES) this.stages.zero({ stage });
    for (const reason of DEATHS) this.deaths.inc({ reason }, 0);
  }

  /** Runs a stage, measured and as a span of the trace. */
  async measure<T>(stage: ConversionStage, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await inSpan(`image ${stage}`, {}, work);
    } finally {
      this.stages.observe({ stage }, secondsSince(startedAt));
    }
  }

  /** Counts what a decoder died of; other errors count nothing. */
  countDeath(error: unknown): void {
    const reason = deathOf(error);
    if (reason) this.deaths.inc({ reason });
  }
}

function deathOf(error: unknown): (typeof DEATHS)[number] | undefined {
  if (error instanceof DecoderCrashed) return 'crashed';
  if (error instanceof DecoderTimedOut) return 'timed_out';
  if (error instanceof DecoderOutOfMemory) return 'out_of_memory';
  return undefined;
}
