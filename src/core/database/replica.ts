import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { outliveBroken, takeBackBroken } from './broken-connections.js';
import { connectionOptions, hasPooler } from './database-url.js';
import type { Env } from '../env.js';
import { sessionLimits, silenceLimitMs } from './session-limits.js';

/** How long a look at a server may take, in milliseconds. */
const LOOK_TIMEOUT_MS = 1_000;

/** How far the primary had written at a moment of this process's clock (`performance.now()`). */
export interface Mark {
  readonly at: number;
  readonly position: bigint;
}

/** A server that is only looked at: by a connection of its own, so that load delays no look. */
export class WatchedServer {
  private readonly pool: pg.Pool;

  constructor(url: string) {
    this.pool = new pg.Pool({
      ...connectionOptions(url),
      application_name: 'atelier-watch',
      max: 1,
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: LOOK_TIMEOUT_MS,
      query_timeout: LOOK_TIMEOUT_MS,
      keepAlive: true,
    });
    outliveBroken(this.pool);
  }

  /** How far a primary has written. */
  async mark(): Promise<Mark> {
    const at = performance.now();
    const { rows } = await this.pool.query<{ position: string }>(
      `select (pg_current_wal_lsn() - '0/0')::text as position`,
    );
    return { at, position: BigInt(rows[0]?.position ?? 0) };
  }

  /** How far a standby has replayed. @throws Error when it is none */
  async replayed(): Promise<bigint> {
    const { rows } = await this.pool.query<{ position: string | null }>(
      `select case when pg_is_in_recovery()
         then (pg_last_wal_replay_lsn() - '0/0')::text end as position`,
    );
    const position = rows[0]?.position;
    if (position == null) throw new Error('It is not a streaming replica');
    return BigInt(position);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

/** One of `DATABASE_REPLICA_URLS`. */
export class Replica {
  /** Where it is, without who asks. */
  readonly host: string;
  readonly pool: pg.Pool;
  readonly database: Kysely<unknown>;
  /** It has everything that was committed before this moment of `performance.now()`. */
  currentAt = -Infinity;
  private readonly watched: WatchedServer;

  constructor(url: string, env: Env) {
    this.host = new URL(url).host;
    this.watched = new WatchedServer(url);
    this.pool = new pg.Pool({
      ...connectionOptions(url),
      application_name: 'atelier-replica',
      max: env.DATABASE_POOL_SIZE,
      connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
      keepAlive: true,
      types: ormTypes(),
      ...sessionLimits(env, hasPooler(env)),
    });
    outliveBroken(this.pool);
    takeBackBroken(this.pool, { prepares: !hasPooler(env), silenceMs: silenceLimitMs(env) });
    this.database = new Kysely({ dialect: new PostgresDialect({ pool: this.pool }) });
  }

  /** @param marks of the primary, oldest first */
  async look(marks: readonly Mark[]): Promise<void> {
    const replayed = await this.watched.replayed();
    const reached = marks.findLast(({ position }) => position <= replayed);
    if (reached) this.currentAt = Math.max(this.currentAt, reached.at);
  }

  async close(): Promise<void> {
    await Promise.all([this.watched.close(), this.pool.end()]);
  }
}

/** Values are read as MikroORM has them read on the primary: times stay text. */
function ormTypes(): pg.TypeOverrides {
  const { DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL } = pg.types.builtins;
  const types = new pg.TypeOverrides();
  for (const oid of [DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL]) {
    types.setTypeParser(oid, (text: string) => text);
  }
  return types;
}
