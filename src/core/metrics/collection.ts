import type { Gauge } from 'prom-client';
import { inTime } from '../in-time.js';
import { SharedAnswer } from '../shared-answer.js';

/** How long a look at the database or the queue may take, in milliseconds. */
const TIMEOUT_MS = 1_000;
/** How long an answer serves, or its absence, in milliseconds. */
const FRESH_MS = 5_000;

/** One value of a gauge. */
export interface Reading {
  readonly gauge: Gauge;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Gauges that are asked for together when somebody looks. */
export interface Collector {
  /** The label of `atelier_scrape_errors_total`. */
  readonly name: string;
  readonly gauges: readonly Gauge[];
  /** Asks. A failure leaves the gauges without values. */
  read(): Promise<readonly Reading[]>;
}

/**
 * Keeps looking cheap: at most one question is under way, however many look, and its answer serves
 * everyone for some seconds. Without an answer the gauges are absent, which tells more than old values.
 */
export class Collection {
  private readonly refreshed = new SharedAnswer(() => this.ask(), FRESH_MS);
  /** Settles with the answer, however late; a second question would only wait behind it. */
  private pending: Promise<readonly Reading[]> | undefined;

  constructor(
    private readonly collector: Collector,
    /** Is told how each question ended: with an error, or with an answer. */
    private readonly report: (error?: Error) => void,
  ) {}

  /** Brings the gauges up to date, or clears them. Never rejects. */
  refresh(): Promise<void> {
    return this.refreshed.get();
  }

  private async ask(): Promise<void> {
    let readings: readonly Reading[] = [];
    try {
      readings = await this.answer();
      this.report();
    } catch (error) {
      this.report(error instanceof Error ? error : new Error(String(error)));
    }
    for (const gauge of this.collector.gauges) gauge.reset();
    for (const { gauge, labels, value } of readings) gauge.set(labels, value);
  }

  private async answer(): Promise<readonly Reading[]> {
    if (this.pending) throw new Error('The last question is still without an answer');
    const pending = this.collector.read();
    this.pending = pending;
    const forget = () => {
      this.pending = undefined;
    };
    pending.then(forget, forget);
    return inTime(pending, TIMEOUT_MS);
  }
}
