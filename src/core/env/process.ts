import { z } from 'zod';
import { documented, MINUTES, SECONDS } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import { whole } from './values.js';

export const processVariables = {
  NODE_ENV: documented(z.enum(['development', 'test', 'production']).default('development'), {
    help: '`production` refuses weak secrets and embedded defaults that would only pretend.',
  }),
  ALLOW_SANDBOX: documented(z.stringbool().default(false), {
    help: 'Whether parts that would only pretend serve in production, too: mail is recorded and not sent, and pictures are painted by the server itself. Elsewhere they always do.',
  }),
  LOG_LEVEL: documented(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    { help: 'The least severe level that is written.' },
  ),
  LOG_FORMAT: documented(z.enum(['auto', 'json', 'pretty']).default('auto'), {
    help: '`auto` is pretty in a terminal and JSON elsewhere.',
  }),
  SHUTDOWN_TIMEOUT_MS: documented(whole(12 * SECONDS, { min: 1 * SECONDS, max: 10 * MINUTES }), {
    help: 'How long requests and jobs may still run after SIGTERM, in milliseconds.',
  }),
  SHUTDOWN_LEAVE_MS: documented(whole(2 * SECONDS, { min: 0, max: 10 * MINUTES }), {
    help: 'For how much of that the API still takes new connections while readiness is off, in milliseconds: longer than the load balancer takes to notice.',
  }),
};

/** What would leave the API no time to answer when it stops. */
export function processMisfits(env: z.output<z.ZodObject<typeof processVariables>>): Misfit[] {
  return misfitsBy([
    [
      env.SHUTDOWN_LEAVE_MS >= env.SHUTDOWN_TIMEOUT_MS,
      'SHUTDOWN_LEAVE_MS',
      'must be less than SHUTDOWN_TIMEOUT_MS',
    ],
  ]);
}
