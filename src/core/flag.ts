import { z } from 'zod';

/** `true` or `false` in a query. Documented as a boolean, which clients then write as that text. */
export function flag() {
  return z.stringbool().meta({ type: 'boolean' });
}
