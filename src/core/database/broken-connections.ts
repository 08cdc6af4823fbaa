import type { Pool, PoolClient } from 'pg';
import { preparedName } from './prepared.js';
import { Silence } from './silence.js';

/** Statements after whose failure nobody can tell whether a connection is still in a transaction. */
const BOUNDARY = /^(begin|start transaction|rollback$)/i;

/** What is said when a server says nothing: pg's words when its `query_timeout` is over. */
const NO_ANSWER = 'Query read timeout';

/** What PostgreSQL says of prepared statements that it does not know, or not as they were. */
const NO_SUCH_STATEMENT = '26000';
/** And of one that it knows already, although nobody has told it on this connection. */
const KNOWN_STATEMENT = '42P05';
const NOT_SUPPORTED = '0A000';
const OTHER_RESULT = /cached plan must not change result type/;

/** How queries are sent. */
export interface QueryManners {
  /**
   * Whether statements of `prepare` are sent under their names: not through a pooler, behind which
   * the next one may reach a server that does not know it.
   */
  prepares: boolean;
  /** After which time without an answer a query fails, in milliseconds; 0 is never. */
  silenceMs: number;
}

/**
 * Has a pool take back connections that broke, that failed to begin or to end a transaction, or on
 * which nothing was heard any more.
 *
 * Kysely gives a connection back only after its BEGIN, COMMIT or ROLLBACK has succeeded. One that
 * dies within a transaction would count as in use for good, and ten of them would be the whole pool.
 */
export function takeBackBroken(pool: Pool, manners: QueryManners): void {
  const guards = new WeakMap<PoolClient, ClientGuard>();
  const connect = pool.connect.bind(pool);
  const connectGuarded = async (): Promise<PoolClient> => {
    const client = await connect();
    const guard = guards.get(client) ?? new ClientGuard(client, manners);
    guards.set(client, guard);
    guard.takeOut();
    return client;
  };
  // Who asks with a callback, as the pool itself does for single queries, opens no transaction.
  pool.connect = ((callback?: Parameters<typeof connect>[0]) => {
    if (!callback) return connectGuarded();
    connect(callback);
    return undefined;
  }) as Pool['connect'];
}

/**
 * Has a pool outlive its connections. One that breaks says so by an event, of the pool when idle and
 * of itself when in use, that ends the process when nobody listens; whoever uses it hears it as well.
 */
export function outliveBroken(pool: Pool): void {
  pool.on('error', () => undefined);
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
  });
}

type Run = (...query: unknown[]) => unknown;

/**
 * Gives a client back by itself when it is of no more use, and at most once each time it is taken out.
 *
 * Made once for each connection: V8 keeps an object whose methods come and go as a slow table, and pg
 * looks into its client for every row.
 */
class ClientGuard {
  /** Gives the client back to the pool; only while it is out. */
  private release: PoolClient['release'] | undefined;
  private isStale = false;

  constructor(
    private readonly client: PoolClient,
    { prepares, silenceMs }: QueryManners,
  ) {
    const run = promising(client.query.bind(client), silenceMs);
    const discard = () => {
      this.giveBack(true);
    };
    const retire = () => {
      this.isStale = true;
    };
    const query = guardQueries(prepares ? preparing(run, retire) : run, discard);
    Object.assign(client, { query });
    client.on('end', discard);
  }

  takeOut(): void {
    this.release = this.client.release.bind(this.client);
    this.client.release = this.giveBack;
  }

  private readonly giveBack = (broken?: Error | boolean): void => {
    const { release } = this;
    this.release = undefined;
    release?.(broken ?? this.isStale);
  };
}

/**
 * Answers with promises, and with an error when the server says nothing for too long.
 *
 * pg does both with functions that it writes into a property of the query, and V8 makes such a
 * function in the old generation. Each would keep its answer, rows and all, from the collector of the
 * young one: half of the garbage of a list was collected as if it were old.
 */
function promising(run: Run, silenceMs: number): Run {
  const silence = silenceMs > 0 ? new Silence(silenceMs) : undefined;
  return (text, ...more) => {
    if (answersByItself(text) || typeof more.at(-1) === 'function') return run(text, ...more);
    return new Promise((resolve, reject) => {
      const answered = silence?.begin(() => {
        reject(new Error(NO_ANSWER));
      });
      const settle = (error: Error | null, result: unknown) => {
        answered?.();
        if (error) reject(error);
        else resolve(result);
      };
      run(text, more[0], settle);
    });
  };
}

/** Whether a query is one of pg's own kind, such as a cursor. */
function answersByItself(query: unknown): boolean {
  return typeof query === 'object' && query !== null && 'submit' in query;
}

/** Discards the connection when a statement fails after which it is of no more use. */
function guardQueries(run: Run, discard: () => void): Run {
  return (text, ...more) => {
    const result = run(text, ...more);
    if (typeof text !== 'string' || !(result instanceof Promise)) return result;
    const isBoundary = BOUNDARY.test(text);
    return result.catch((error: unknown) => {
      if (isBoundary || (error instanceof Error && error.message === NO_ANSWER)) discard();
      throw error;
    });
  };
}

/**
 * Sends statements of `prepare` under their names. One that the server cannot run any more as it was
 * prepared runs again without its name, which is of no use within a transaction, and the connection
 * is to be retired: it would fail so for good.
 */
function preparing(run: Run, retire: () => void): Run {
  return (text, ...more) => {
    const name = typeof text === 'string' ? preparedName(text) : undefined;
    if (name === undefined) return run(text, ...more);
    return (run({ name, text, values: more[0] }) as Promise<unknown>).catch((error: unknown) => {
      if (!isOutdated(error)) throw error;
      retire();
      return run(text, ...more);
    });
  };
}

/**
 * As after a migration that changed the type of a column, or `DISCARD ALL`; or behind a pooler that
 * nobody has told of.
 */
function isOutdated(error: unknown): boolean {
  const { code, message = '' } = error as Partial<NodeJS.ErrnoException>;
  if (code === NO_SUCH_STATEMENT || code === KNOWN_STATEMENT) return true;
  return code === NOT_SUPPORTED && OTHER_RESULT.test(message);
}
