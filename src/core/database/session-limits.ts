import type { Env } from '../env.js';

/** The variables that limit a session. */
export type LimitsEnv = Pick<
  Env,
  | 'DATABASE_STATEMENT_TIMEOUT_MS'
  | 'DATABASE_LOCK_TIMEOUT_MS'
  | 'DATABASE_IDLE_TRANSACTION_TIMEOUT_MS'
>;

/**
 * After how long PostgreSQL ends a transaction that holds up those of others, and whose process says
 * nothing, in milliseconds. A healthy one says something each few.
 */
export const SILENT_HOLDER_MS = 3_000;

/** How much longer than the server itself would take a query is waited for, in milliseconds. */
const SILENT_SERVER_MARGIN_MS = 5_000;

/** What PostgreSQL is to hold a session to, by the names of its settings, in milliseconds. */
export function serverLimits(env: LimitsEnv) {
  return {
    statement_timeout: env.DATABASE_STATEMENT_TIMEOUT_MS,
    lock_timeout: env.DATABASE_LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: env.DATABASE_IDLE_TRANSACTION_TIMEOUT_MS,
  };
}

/**
 * The limits of a connection, as options of pg.
 *
 * @param pooled whether a pooler is in between: it refuses settings in the start-up packet, and what
 * one client sets others would get; then the role has the limits, from `npm run migrate`
 */
export function sessionLimits(
  env: LimitsEnv,
  pooled: boolean,
): Partial<ReturnType<typeof serverLimits>> {
  return pooled ? {} : serverLimits(env);
}

/**
 * After how long without an answer a query has failed, in milliseconds; 0 is never. The server keeps
 * to its own limit: this one is for a server that says nothing at all.
 */
export function silenceLimitMs(env: Pick<LimitsEnv, 'DATABASE_STATEMENT_TIMEOUT_MS'>): number {
  const { DATABASE_STATEMENT_TIMEOUT_MS: limitMs } = env;
  return limitMs > 0 ? limitMs + SILENT_SERVER_MARGIN_MS : 0;
}
