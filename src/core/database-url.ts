import pg from 'pg';
import { CannotStart } from './cannot-start.js';
import type { Env } from './env.js';

/** An address of the database, and the variable that it came from. */
export interface DatabaseAddress {
  readonly variable: string;
  readonly url: string;
}

type AddressEnv = Pick<Env, 'DATABASE_URL' | 'DATABASE_DIRECT_URL'>;

/** Modes for which pg does the same as for `verify-full`, with a warning that it will not for ever. */
const VERIFIED_MODES = ['prefer', 'require', 'verify-ca'];

/**
 * The way for what a pooler in transaction mode cannot carry: LISTEN, settings of a session, locks of
 * a session.
 */
export function directAddress(env: AddressEnv): DatabaseAddress {
  return env.DATABASE_DIRECT_URL === undefined
    ? { variable: 'DATABASE_URL', url: env.DATABASE_URL }
    : { variable: 'DATABASE_DIRECT_URL', url: env.DATABASE_DIRECT_URL };
}

/** Whether `DATABASE_URL` leads through a pooler: that is what another, direct way is for. */
export function hasPooler({ DATABASE_URL, DATABASE_DIRECT_URL }: AddressEnv): boolean {
  return DATABASE_DIRECT_URL !== undefined && DATABASE_DIRECT_URL !== DATABASE_URL;
}

/**
 * A URL as pg is given it. Every connection is made with this, so that TLS is the same for all.
 *
 * With any `sslmode` but `disable` and `no-verify`, pg insists on TLS, on a certificate of an
 * authority of `sslrootcert` (or else of Node's list), and on the host's name in it. libpq is less
 * strict for the weaker modes; who wants that adds `uselibpqcompat=true`.
 */
export function connectionString(url: string): string {
  const parsed = new URL(url);
  const mode = parsed.searchParams.get('sslmode') ?? '';
  const isLibpq = parsed.searchParams.get('uselibpqcompat') === 'true';
  if (isLibpq || !VERIFIED_MODES.includes(mode)) return url;
  parsed.searchParams.set('sslmode', 'verify-full');
  return parsed.href;
}

/**
 * Connects once, to do something at the start.
 *
 * @throws CannotStart naming the variable when the server is away, refuses, or is not the one that
 * its certificate should prove it to be
 */
export async function connectOrRefuse(
  { variable, url }: DatabaseAddress,
  options: pg.ClientConfig = {},
): Promise<pg.Client> {
  try {
    const client = new pg.Client({ ...options, connectionString: connectionString(url) });
    client.on('error', () => undefined); // the statement under way reports it
    await client.connect();
    return client;
  } catch (error) {
    throw new CannotStart(`The database of ${variable} cannot be used: ${reasonOf(error)}`);
  }
}

/** Node tells several addresses that were tried in vain only in the parts of its error. */
function reasonOf(error: unknown): string {
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const { message, code } = first as { message?: string; code?: string };
  return message ?? code ?? 'no reason given';
}
