import type { Env } from '../env.js';

/**
 * The address that every server of the product listens on, by HOST. For `localhost` it is one, and
 * not what the resolver says: the framework would open a second server, of which nobody else knows.
 */
export function listenHost({ HOST }: Pick<Env, 'HOST'>): string {
  return HOST === 'localhost' ? '127.0.0.1' : HOST;
}
