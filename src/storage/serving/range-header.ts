import type { AskedRange } from '../storage.js';

/** RFC 9110 section 14.1.1, for one range of bytes. Names of units have no case. */
const SINGLE_RANGE = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i;

/**
 * The part that a `Range` header asks for.
 *
 * Undefined without one, and also for one that is answered with the whole file, as RFC 9110 section
 * 14.2 allows: several ranges, which cost a server more than they are worth to a client, other
 * units, and what is no range.
 */
export function parseRange(header: string | undefined): AskedRange | undefined {
  const [, first = '', last = ''] = SINGLE_RANGE.exec(header ?? '') ?? [];
  if (first === '') return last === '' ? undefined : { last: position(last) };
  const start = position(first);
  if (last === '') return { start };
  const end = position(last);
  return end < start ? undefined : { start, end };
}

/** Far past the end of any file is all the same; a store would stumble over `1e+23`. */
function position(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}
