import { Injectable, Logger } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { VERSION } from '../process/version.js';
import { SharedAnswer } from '../shared-answer.js';
import { type Collector, Collection } from './collection.js';

interface InstrumentOptions<Label extends string> {
  /** As in docs/operate.md, which a test holds against what is exported. */
  readonly name: string;
  readonly help: string;
  /** Each with few values, whatever clients send: every combination is kept for good. */
  readonly labels?: readonly Label[];
}

interface HistogramOptions<Label extends string> extends InstrumentOptions<Label> {
  /** Upper bounds, ascending, in the unit of the name. */
  readonly buckets: readonly number[];
}

interface GaugeOptions<Label extends string> extends InstrumentOptions<Label> {
  /** Sets the gauge when somebody looks; must be quick, and must not throw. */
  readonly collect?: (gauge: Gauge<Label>) => void;
}

/**
 * The measurements of one process, as Prometheus reads them. Each part makes its own instruments
 * here, once, and keeps them beside its code.
 *
 * One registry for each application: tests run several in one process.
 */
@Injectable()
export class Metrics {
  private readonly logger = new Logger(Metrics.name);
  private readonly registry = new Registry();
  private readonly collections: Collection[] = [];
  private readonly scrapeErrors: Counter<'collector'>;
  private readonly rendered = new SharedAnswer(() => this.render(), 0);

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.gauge({
      name: 'atelier_build_info',
      help: 'Always 1: which version runs, on which version of Node',
      labels: ['version', 'node'],
    }).set({ version: VERSION, node: process.version }, 1);
    this.scrapeErrors = this.counter({
      name: 'atelier_scrape_errors_total',
      help: 'How often what is asked for when scraped did not answer',
      labels: ['collector'],
    });
  }

  /** The media type of {@link text}. */
  get contentType(): string {
    return this.registry.contentType;
  }

  counter<Label extends string>(options: InstrumentOptions<Label>): Counter<Label> {
    return new Counter({ ...this.described(options) });
  }

  gauge<Label extends string>({ collect, ...options }: GaugeOptions<Label>): Gauge<Label> {
    return new Gauge({
      ...this.described(options),
      ...(collect && {
        collect() {
          collect(this);
        },
      }),
    });
  }

  histogram<Label extends string>({
    buckets,
    ...options
  }: HistogramOptions<Label>): Histogram<Label> {
    return new Histogram({ ...this.described(options), buckets: [...buckets] });
  }

  /** Adds gauges whose values are asked of another process when somebody looks. */
  collect(collector: Collector): void {
    const { name } = collector;
    this.scrapeErrors.inc({ collector: name }, 0);
    let isFailing = false;
    const report = (error?: Error): void => {
      if (error) this.scrapeErrors.inc({ collector: name });
      // Each change once: scrapers come every few seconds.
      if ((error !== undefined) === isFailing) return;
      isFailing = !isFailing;
      if (error) this.logger.warn({ err: error, collector: name, msg: 'Not measured' });
      else this.logger.log({ collector: name, msg: 'Measured again' });
    };
    this.collections.push(new Collection(collector, report));
  }

  /** Everything measured so far, in Prometheus' text format. It never fails as a whole. */
  text(): Promise<string> {
    return this.rendered.get();
  }

  private async render(): Promise<string> {
    await Promise.all(this.collections.map((collection) => collection.refresh()));
    return this.registry.metrics();
  }

  private described<Label extends string>({ name, help, labels = [] }: InstrumentOptions<Label>) {
    return { name, help, labelNames: [...labels], registers: [this.registry] };
  }
}
