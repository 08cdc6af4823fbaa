import type { Env } from '../core/env.js';
import type { Capability } from '../core/process/capabilities.js';

/**
 * What becomes of mail: it is sent, or only recorded for administrators to read. In production nobody
 * would read it there, so nothing is recorded unless the operator says so.
 */
export type MailDriver = 'smtp' | 'recorded' | 'not-configured';

/** The variables that choose. */
export type MailDriverEnv = Pick<Env, 'SMTP_URL' | 'NODE_ENV' | 'ALLOW_SANDBOX'>;

export function mailDriver({ SMTP_URL, NODE_ENV, ALLOW_SANDBOX }: MailDriverEnv): MailDriver {
  if (SMTP_URL !== undefined) return 'smtp';
  return NODE_ENV === 'production' && !ALLOW_SANDBOX ? 'not-configured' : 'recorded';
}

/** What `GET /health/capabilities` tells of mail. */
export function mailCapability(env: MailDriverEnv): Capability {
  const driver = mailDriver(env);
  return { part: 'mail', driver, embedded: driver === 'recorded' };
}
