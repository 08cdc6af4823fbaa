import type { Span, SpanOptions } from './span.js';
import type { TraceParent } from './trace-parent.js';

/** What makes spans and hands them on. */
export interface Tracer {
  begin(name: string, options: SpanOptions, parent: TraceParent | undefined): Span;
  /** Hands on what is left. */
  close(): Promise<void>;
}
