import { setTimeout as delay } from 'node:timers/promises';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { DatabasePools } from './database-pools.js';
import { ENV, type Env } from '../env.js';
import { type Mark, Replica, WatchedServer } from './replica.js';
import { isPoolExhausted, isUnavailable } from '../problems/unavailable.js';

const LOOK_EVERY_MS = 1_000;
const STATEMENT_TIMED_OUT = '57014';
/**
 * What fails on a replica alone: a query that stood in the way of what it had to replay, and one of
 * a table or a column of a migration that it has yet to replay.
 */
const OF_REPLICAS = new Set(['40001', '42P01', '42703']);

/** A server that is read from. */
export interface ReadServer<Tables> {
  readonly database: Kysely<Tables>;
  /** What that takes its connections from: for prepared statements. */
  readonly pool: Pool;
}

/**
 * Where lists are read: on a replica, each in turn, when there are any that are not too far behind,
 * else on the primary. Everything else reads the primary, where one's own writes are.
 *
 * How far a replica is behind is told by positions in the log and one clock, this process's: when it
 * has replayed to where the primary was a second ago, it is at most a second behind. The time of the
 * last transaction that it replayed would say too much when nothing is written, and nothing at all
 * when it is cut off.
 */
@Injectable()
export class ReadDatabase implements OnApplicationShutdown {
  private readonly logger = new Logger(ReadDatabase.name);
  private readonly closing = new AbortController();
  private readonly known = new Map<Replica, 'in use' | 'left out'>();
  private replicas: Replica[] = [];
  private primary: WatchedServer | undefined;
  private marks: Mark[] = [];
  private turn = 0;
  private watching: Promise<void> | undefined;

  constructor(
    private readonly em: EntityManager,
    private readonly pools: DatabasePools,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Runs the queries of one list, all of them on the same server.
   *
   * What a replica cannot do for now is done again on the primary, so `work` may run twice.
   *
   * @param work only reads
   */
  async read<Tables, T>(work: (server: ReadServer<Tables>) => Promise<T>): Promise<T> {
    const replica = await this.nextReplica();
    if (!replica) return work(await this.primaryServer());
    try {
      return await work(replica as ReadServer<Tables>);
    } catch (error) {
      if (!isFaultOfReplica(error)) throw error;
      this.putAside(replica, error);
      return work(await this.primaryServer());
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.closing.abort();
    await Promise.all([this.primary?.close(), ...this.replicas.map((each) => each.close())]);
  }

  private async primaryServer<Tables>(): Promise<ReadServer<Tables>> {
    const connection = this.em.getConnection();
    return {
      database: connection.getClient<Tables>(),
      pool: await connection.getNativeClient(),
    };
  }

  private async nextReplica(): Promise<Replica | undefined> {
    if (this.env.DATABASE_REPLICA_URLS.length === 0) return undefined;
    await (this.watching ??= this.watch());
    const fit = this.replicas.filter((replica) => this.isFit(replica));
    this.turn += 1;
    return fit[this.turn % fit.length];
  }

  private isFit({ currentAt }: Replica): boolean {
    return performance.now() - currentAt <= this.env.DATABASE_REPLICA_MAX_LAG_MS;
  }

  /** Only a process that reads lists needs to know; it waits for the first look. */
  private async watch(): Promise<void> {
    const primary = new WatchedServer(this.env.DATABASE_URL);
    this.primary = primary;
    this.replicas = this.env.DATABASE_REPLICA_URLS.map((url) => new Replica(url, this.env));
    for (const { pool } of this.replicas) this.pools.register('replica', pool);
    await this.mark(primary);
    await Promise.all(this.replicas.map((replica) => this.look(replica)));
    void this.again(() => this.mark(primary));
    for (const replica of this.replicas) void this.again(() => this.look(replica));
  }

  private async again(look: () => Promise<void>): Promise<void> {
    const { signal } = this.closing;
    const pause = () => delay(LOOK_EVERY_MS, true, { signal, ref: false }).catch(() => false);
    while (await pause()) await look();
  }

  /** While the primary is away nobody can tell what replicas lack, and they grow old. */
  private async mark(primary: WatchedServer): Promise<void> {
    const oldest = performance.now() - this.env.DATABASE_REPLICA_MAX_LAG_MS;
    const mark = await primary.mark().catch(() => undefined);
    this.marks = [...this.marks.filter(({ at }) => at >= oldest), ...(mark ? [mark] : [])];
  }

  private async look(replica: Replica): Promise<void> {
    try {
      await replica.look(this.marks);
      if (this.isFit(replica)) this.use(replica);
      else this.putAside(replica, new Error('It is too far behind'));
    } catch (error) {
      this.putAside(replica, error);
    }
  }

  private use(replica: Replica): void {
    if (this.known.get(replica) === 'in use') return;
    this.known.set(replica, 'in use');
    this.logger.log({ replica: replica.host, msg: 'Lists are read from this replica' });
  }

  /** Until the next look that finds it well. */
  private putAside(replica: Replica, error: unknown): void {
    replica.currentAt = -Infinity;
    if (this.closing.signal.aborted || this.known.get(replica) === 'left out') return;
    this.known.set(replica, 'left out');
    this.logger.warn({
      err: error,
      replica: replica.host,
      msg: 'A replica of DATABASE_REPLICA_URLS is left out',
    });
  }
}

/** The primary has no time to spare for what was too much for a replica. */
function isFaultOfReplica(error: unknown): boolean {
  const { code = '' } = error as { code?: string };
  if (isPoolExhausted(error) || code === STATEMENT_TIMED_OUT) return false;
  return OF_REPLICAS.has(code) || isUnavailable(error);
}
