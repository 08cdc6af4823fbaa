import type { TraceParent } from './trace-parent.js';

/** What a span is of, as OpenTelemetry has it. */
export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** What is known of a span: ids, names and numbers, and nothing secret. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** Default: `internal`. */
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
}

/**
 * A piece of work within a trace. Only a process that traces has any; what they are made of is known
 * to open-telemetry.ts alone.
 */
export interface Span {
  /** 32 hexadecimal digits; in every log line of the work. */
  readonly traceId: string;
  /** By which other processes go on with the trace: W3C Trace Context, section 3.2, 55 characters. */
  readonly traceParent: string;
  /** Begins a span within this one; it must be ended. */
  begin(name: string, options?: SpanOptions): Span;
  set(attributes: Attributes): void;
  /** Ends it; with an error, of which only the kind is told. */
  end(error?: unknown): void;
}

/** What makes spans and hands them on. */
export interface Tracer {
  begin(name: string, options: SpanOptions, parent: TraceParent | undefined): Span;
  /** Hands on what is left. */
  close(): Promise<void>;
}
