import { z } from 'zod';
import { documented } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import { whole } from './values.js';

/** More than anybody sends: whoever measures the product sets it. */
const NO_LIMIT = 1_000_000_000;

export const rateLimitVariables = {
  RATE_LIMITS: documented(z.enum(['on', 'off']).default('on'), {
    help: '`off` lets everybody send what they like, for trying things out: not in production.',
  }),
  FAILED_SIGN_INS_PER_MINUTE: documented(whole(10, { min: 1, max: NO_LIMIT }), {
    help: 'How often signing in to one account may fail in a minute; then it is refused until the minute is over, also with the right password. As often an address can be registered, and asked a new password for.',
  }),
  SIGN_IN_CALLS_PER_MINUTE: documented(whole(300, { min: 1, max: NO_LIMIT }), {
    help: 'How many calls of the routes for signing in are taken from one address in a minute.',
  }),
  USER_REQUESTS_PER_MINUTE: documented(whole(6_000, { min: 1, max: NO_LIMIT }), {
    help: 'How many requests are taken from one user in a minute.',
  }),
  ADDRESS_REQUESTS_PER_MINUTE: documented(whole(1_200, { min: 1, max: NO_LIMIT }), {
    help: 'How many requests of whoever is not signed in are taken from one address in a minute; of IPv6 from one /64.',
  }),
};

/** Production has limits, however high. */
export function rateLimitMisfits(env: { NODE_ENV: string; RATE_LIMITS: 'on' | 'off' }): Misfit[] {
  const isWrong = env.NODE_ENV === 'production' && env.RATE_LIMITS === 'off';
  return misfitsBy([[isWrong, 'RATE_LIMITS', 'must be on in production']]);
}
