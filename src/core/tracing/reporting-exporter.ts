import { Logger } from '@nestjs/common';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { runInContext } from '../request-context.js';

type Answered = Parameters<SpanExporter['export']>[1];

/** `ExportResultCode.SUCCESS`. A failure may come without an error. */
const SUCCESS = 0;

/** Says once that the collector does not take what it is sent, and once that it does again. */
export class ReportingExporter implements SpanExporter {
  private readonly logger = new Logger('Tracing');
  private isFailing = false;

  constructor(private readonly exporter: SpanExporter) {}

  export(spans: ReadableSpan[], answered: Answered): void {
    // Not in the name of whichever request made the batch full.
    runInContext({}, () => {
      this.exporter.export(spans, (result) => {
        const code: number = result.code;
        this.report(code !== SUCCESS, result.error);
        answered(result);
      });
    });
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown();
  }

  forceFlush(): Promise<void> {
    return this.exporter.forceFlush?.() ?? Promise.resolve();
  }

  private report(failed: boolean, error: Error | undefined): void {
    if (failed === this.isFailing) return;
    this.isFailing = failed;
    if (failed) this.logger.warn({ err: error, msg: 'The collector takes no traces' });
    else this.logger.log({ msg: 'The collector takes traces again' });
  }
}
