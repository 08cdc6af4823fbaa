import { currentContext, runInContext } from '../request-context.js';
import type { Span, SpanOptions } from './span.js';

/**
 * Runs work in a span of its own, when the running code belongs to a trace; else it just runs it.
 * What the work begins becomes part of that span.
 */
export function inSpan<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
  const parent = currentContext()?.span;
  return parent ? runInSpan(parent.begin(name, options), work) : work();
}

/** Runs work in a span that has begun, and ends it with the work. */
export async function runInSpan<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    const result = await runInContext({ ...currentContext(), span }, work);
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}
