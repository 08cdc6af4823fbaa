import { readFileSync } from 'node:fs';
import { checkServerIdentity } from 'node:tls';
import pg from 'pg';
import { CannotStart } from '../process/cannot-start.js';
import type { Env } from '../env.js';

/** An address of the database, and the variable that it came from. */
export interface DatabaseAddress {
  readonly variable: string;
  readonly url: string;
}

type AddressEnv = Pick<Env, 'DATABASE_URL' | 'DATABASE_DIRECT_URL'>;

/** What a URL can say of TLS. */
const TLS_PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation'];

/** PostgreSQL's code, which poolers use, too. */
const PROTOCOL_VIOLATION = '08P01';
const POOLER =
  'it leads through a pooler, which refuses the limits of a session. DATABASE_DIRECT_URL has to name the way around it.';

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
 * A URL as options of pg. Every connection is made with these, so that TLS is the same for all.
 *
 * As pg has it, any `sslmode` but `disable` and `no-verify` insists on TLS, on a certificate of an
 * authority in `sslrootcert` (or else of Node's list), and on the host in it. libpq is less strict
 * for the weaker modes: who wants that adds `uselibpqcompat=true`. Two things pg does not do: it
 * warns of the weaker modes at each start, and compares a host that is an IP address with
 * certificates for "localhost".
 *
 * @throws Error when a file that the URL names cannot be read
 */
export function connectionOptions(url: string): Pick<pg.ClientConfig, 'connectionString' | 'ssl'> {
  const parsed = new URL(url);
  const given = parsed.searchParams;
  const says = (name: string, ...values: string[]) => values.includes(given.get(name) ?? '');
  const isOurs =
    (says('ssl', 'true', '1') || TLS_PARAMETERS.some((name) => given.has(name))) &&
    !says('sslmode', 'disable', 'no-verify') &&
    !says('uselibpqcompat', 'true');
  // What the URL says wins over this, and this over a PGSSLMODE that happens to be set.
  if (!isOurs) return { connectionString: url, ssl: false };

  const file = (name: string) => {
    const path = given.get(name);
    return path ? readFileSync(path, 'utf8') : undefined;
  };
  const ssl = { ca: file('sslrootcert'), cert: file('sslcert'), key: file('sslkey') };
  const sslnegotiation = given.get('sslnegotiation');
  for (const name of ['ssl', ...TLS_PARAMETERS]) given.delete(name);
  const host = parsed.hostname.replace(/^\[(.+)\]$/, '$1');
  return {
    connectionString: parsed.href,
    ...(sslnegotiation && { sslnegotiation }),
    ssl: {
      ...Object.fromEntries(Object.entries(ssl).filter(([, value]) => value !== undefined)),
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    },
  };
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
    const client = new pg.Client({ ...options, ...connectionOptions(url) });
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
  // PostgreSQL itself knows all that we send.
  if (code === PROTOCOL_VIOLATION && message?.includes('startup parameter')) return POOLER;
  return message ?? code ?? 'no reason given';
}
