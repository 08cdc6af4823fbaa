import { describe, expect, it } from '@jest/globals';
import { formatTraceParent, isSameTrace, parseTraceParent } from './trace-parent.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('A traceparent', () => {
  it.each([
    [`00-${TRACE}-${SPAN}-01`, true],
    [`00-${TRACE}-${SPAN}-00`, false],
    [`00-${TRACE}-${SPAN}-03`, true],
    [`00-${TRACE}-${SPAN}-02`, false],
    [`cc-${TRACE}-${SPAN}-01`, true],
    [`cc-${TRACE}-${SPAN}-01-what-the-future-will-bring`, true],
  ])('is read: %s', (text, isSampled) => {
    expect(parseTraceParent(text)).toEqual({ traceId: TRACE, spanId: SPAN, isSampled });
  });

  it.each([
    null,
    undefined,
    '',
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}`,
    ` 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  ])('is not valid: %s', (text) => {
    expect(parseTraceParent(text)).toBeUndefined();
  });

  it('is written as it was read', () => {
    for (const text of [`00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-00`]) {
      expect(formatTraceParent(parseTraceParent(text)!)).toBe(text);
    }
  });

  it('is of the same trace as another only when both are valid', () => {
    const other = `00-${TRACE}-b7ad6b7169203331-00`;
    expect(isSameTrace(`00-${TRACE}-${SPAN}-01`, other)).toBe(true);
    expect(isSameTrace(`00-${TRACE.replace('4', '5')}-${SPAN}-01`, other)).toBe(false);
    expect(isSameTrace(undefined, null)).toBe(false);
    expect(isSameTrace('nonsense', 'nonsense')).toBe(false);
  });
});
