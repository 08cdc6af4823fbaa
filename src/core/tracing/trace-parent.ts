/** Where a trace goes on from, as W3C Trace Context hands it over. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  /** Whether the trace is recorded: who comes later does as was decided first. */
  readonly isSampled: boolean;
}

const FORMAT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const SAMPLED = 0x01;

/**
 * Reads a `traceparent`: https://www.w3.org/TR/trace-context/#traceparent-header, section 3.2. Of
 * later versions, which may be longer, the parts that this one knows are read.
 *
 * @returns undefined when it is not valid: the trace then begins anew
 */
export function parseTraceParent(text: string | null | undefined): TraceParent | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] = FORMAT.exec(text ?? '') ?? [];
  if (version === undefined || version === 'ff') return undefined;
  if (version === '00' && rest !== undefined) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** Whether both are valid and of one trace. */
export function isSameTrace(
  one: string | null | undefined,
  other: string | null | undefined,
): boolean {
  const traceId = parseTraceParent(one)?.traceId;
  return traceId !== undefined && traceId === parseTraceParent(other)?.traceId;
}

/** Writes a `traceparent` of version 00. */
export function formatTraceParent({ traceId, spanId, isSampled }: TraceParent): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}
