import { Logger } from '@nestjs/common';
import type { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { runInContext } from '../request-context.js';

type Answered = Parameters<SpanExporter['export']>[1];

/** Says once that the collector does not take what it is sent, and once that it does again. */
export class ReportingExporter implements SpanExporter {
  private readonly logger = new Logger('Tracing');
  private isFailing = false;

  constructor(private readonly exporter: OTLPTraceExporter) {}

  export(spans: ReadableSpan[], answered: Answered): void {
    // Not in the name of whichever request made the batch full.
    runInContext({}, () => {
      this.exporter.export(spans, (result) => {
        this.report(result.error);
        answered(result);
      });
    });
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown();
  }

  forceFlush(): Promise<void> {
    return this.exporter.forceFlush();
  }

  private report(error: Error | undefined): void {
    const failed = error !== undefined;
    if (failed === this.isFailing) return;
    this.isFailing = failed;
    if (failed) this.logger.warn({ err: error, msg: 'The collector takes no traces' });
    else this.logger.log({ msg: 'The collector takes traces again' });
  }
}
