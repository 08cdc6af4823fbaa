import type { OnApplicationShutdown } from '@nestjs/common';
import type { Env } from '../env.js';
import { inTime } from '../in-time.js';
import type { Span, SpanOptions, Tracer } from './span.js';
import { parseTraceParent } from './trace-parent.js';

/** How long the last spans may take on their way, in milliseconds. */
const FLUSH_MS = 1_500;

/**
 * Where traces begin, or go on from another process. What happens within one needs only `inSpan`.
 *
 * Without an endpoint there is no tracer, and nothing of OpenTelemetry is loaded.
 */
export class Tracing implements OnApplicationShutdown {
  constructor(private readonly tracer?: Tracer) {}

  get isOn(): boolean {
    return this.tracer !== undefined;
  }

  /**
   * Begins a span, which must be ended; none when the process does not trace.
   *
   * @param traceParent what it goes on from; one that is absent or not valid begins a new trace
   */
  begin(
    name: string,
    options: SpanOptions,
    traceParent: string | null | undefined,
  ): Span | undefined {
    return this.tracer?.begin(name, options, parseTraceParent(traceParent));
  }

  /** A collector that is away or slow holds up no shutdown. */
  async onApplicationShutdown(): Promise<void> {
    if (this.tracer) await inTime(this.tracer.close(), FLUSH_MS).catch(() => undefined);
  }
}

/** Traces when an endpoint is set. */
export async function startTracing(env: Env): Promise<Tracing> {
  const endpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (endpoint === undefined) return new Tracing();
  const { OpenTelemetry } = await import('./open-telemetry.js');
  return new Tracing(
    new OpenTelemetry({
      endpoint,
      headers: env.OTEL_EXPORTER_OTLP_HEADERS ?? {},
      ratio: env.OTEL_TRACES_SAMPLER_ARG,
      serviceName: env.OTEL_SERVICE_NAME,
    }),
  );
}
