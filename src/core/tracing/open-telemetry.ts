import { hostname } from 'node:os';
import {
  ROOT_CONTEXT,
  SpanKind as OtelSpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes as OtelAttributes,
  type Context,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import {
  ATTR_ERROR_TYPE,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from '@opentelemetry/semantic-conventions';
import { VERSION } from '../process/version.js';
import { ReportingExporter } from './reporting-exporter.js';
import type { Attributes, Span, SpanKind, SpanOptions, Tracer } from './span.js';
import { formatTraceParent, type TraceParent } from './trace-parent.js';

/** Spans that wait to be handed on; what comes on top is thrown away. */
const QUEUE_SIZE = 2_048;
/** How long spans are collected before they are handed on together, in milliseconds. */
const BATCH_MS = 1_000;
/** How long one hand-over may take, repetitions included, in milliseconds. */
const EXPORT_TIMEOUT_MS = 5_000;
const EXPORTS_AT_ONCE = 4;

const KINDS: Record<SpanKind, OtelSpanKind> = {
  internal: OtelSpanKind.INTERNAL,
  server: OtelSpanKind.SERVER,
  client: OtelSpanKind.CLIENT,
  producer: OtelSpanKind.PRODUCER,
  consumer: OtelSpanKind.CONSUMER,
};

interface Settings {
  /** The base address of the collector: traces go to `/v1/traces` below it. */
  endpoint: string;
  headers: Readonly<Record<string, string>>;
  /** The part of the traces that begin here which is recorded, from 0 to 1. */
  ratio: number;
  serviceName: string;
}

/**
 * Hands spans to a collector by OTLP over HTTP, in JSON:
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 *
 * The one file that knows OpenTelemetry, loaded only where it is wanted. It registers nothing
 * globally: tests start several applications in one process.
 */
export class OpenTelemetry implements Tracer {
  private readonly provider: TracerProvider;
  private readonly tracer: OtelTracer;

  constructor({ endpoint, headers, ratio, serviceName }: Settings) {
    const exporter = new OTLPTraceExporter({
      url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
      headers: { ...headers },
      timeoutMillis: EXPORT_TIMEOUT_MS,
      concurrencyLimit: EXPORTS_AT_ONCE,
    });
    this.provider = new TracerProvider({
      resource: resourceFromAttributes({
        [ATTR_SERVICE_NAME]: serviceName,
        [ATTR_SERVICE_VERSION]: VERSION,
        [ATTR_SERVICE_INSTANCE_ID]: `${hostname()}:${process.pid}`,
      }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: new ReportingExporter(exporter),
          maxQueueSize: QUEUE_SIZE,
          scheduledDelayMillis: BATCH_MS,
          exportTimeoutMillis: 2 * EXPORT_TIMEOUT_MS,
        }),
      ],
    });
    this.tracer = this.provider.getTracer('atelier', VERSION);
  }

  begin(name: string, options: SpanOptions, parent: TraceParent | undefined): Span {
    return beginIn(this.tracer, name, options, contextOf(parent));
  }

  close(): Promise<void> {
    return this.provider.shutdown();
  }
}

/** A span of OpenTelemetry, with what is needed to begin others within it. */
class RecordedSpan implements Span {
  constructor(
    private readonly tracer: OtelTracer,
    private readonly span: OtelSpan,
    private readonly context: Context,
  ) {}

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  get traceParent(): string {
    const { traceId, spanId, traceFlags } = this.span.spanContext();
    const isSampled = (traceFlags & TraceFlags.SAMPLED) !== 0;
    return formatTraceParent({ traceId, spanId, isSampled });
  }

  begin(name: string, options: SpanOptions = {}): Span {
    return beginIn(this.tracer, name, options, this.context);
  }

  set(attributes: Attributes): void {
    this.span.setAttributes(attributes);
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      // Messages and stacks carry statements and whole rows: they are for our own log.
      this.span.setAttribute(ATTR_ERROR_TYPE, error instanceof Error ? error.name : typeof error);
      this.span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.span.end();
  }
}

function beginIn(
  tracer: OtelTracer,
  name: string,
  { kind = 'internal', attributes }: SpanOptions,
  context: Context,
): Span {
  const options = { kind: KINDS[kind], attributes: attributes as OtelAttributes | undefined };
  const span = tracer.startSpan(name, options, context);
  return new RecordedSpan(tracer, span, trace.setSpan(context, span));
}

function contextOf(parent: TraceParent | undefined): Context {
  if (!parent) return ROOT_CONTEXT;
  const { traceId, spanId, isSampled } = parent;
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}
