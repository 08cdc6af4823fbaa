import type { Pool, PoolClient } from 'pg';
import { preparedName } from './prepared.js';

/** Statements after whose failure nobody can tell whether a connection is still in a transaction. */
const BOUNDARY = /^(begin|start transaction|rollback$)/i;

/** What pg says when `query_timeout` is over. The connection still waits for its answer. */
const NO_ANSWER = 'Query read timeout';

/**
 * Has a pool take back connections that broke, that failed to begin or to end a transaction, or on
 * which nothing was heard any more.
 *
 * Kysely gives a connection back only after its BEGIN, COMMIT or ROLLBACK has succeeded. One that
 * dies within a transaction would count as in use for good, and ten of them would be the whole pool.
 *
 * @param prepares whether statements of `prepare` are sent under their names: not through a pooler,
 *   behind which the next one may reach a server that does not know it
 */
export function takeBackBroken(pool: Pool, { prepares }: { prepares: boolean }): void {
  const guards = new WeakMap<PoolClient, ClientGuard>();
  const connect = pool.connect.bind(pool);
  const connectGuarded = async (): Promise<PoolClient> => {
    const client = await connect();
    const guard = guards.get(client) ?? new ClientGuard(client, prepares);
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

/**
 * Gives a client back by itself when it is of no more use, and at most once each time it is taken out.
 *
 * Made once for each connection: V8 keeps an object whose methods come and go as a slow table, and pg
 * looks into its client for every row.
 */
class ClientGuard {
  private readonly run: (...query: unknown[]) => unknown;
  /** Gives the client back to the pool; only while it is out. */
  private release: PoolClient['release'] | undefined;

  constructor(
    private readonly client: PoolClient,
    private readonly prepares: boolean,
  ) {
    this.run = client.query.bind(client);
    Object.assign(client, { query: this.query });
    client.on('end', () => {
      this.giveBack(true);
    });
  }

  takeOut(): void {
    this.release = this.client.release.bind(this.client);
    this.client.release = this.giveBack;
  }

  private readonly giveBack = (broken?: Error | boolean): void => {
    const { release } = this;
    this.release = undefined;
    release?.(broken);
  };

  private readonly query = (text: unknown, ...more: unknown[]): unknown => {
    if (typeof text !== 'string') return this.run(text, ...more);
    if (BOUNDARY.test(text)) return this.runBoundary(text, ...more);
    const name = this.prepares ? preparedName(text) : undefined;
    const [values, ...rest] = more;
    const result =
      name === undefined ? this.run(text, ...more) : this.run({ name, text, values }, ...rest);
    if (result instanceof Promise) result.catch(this.discardSilent);
    return result;
  };

  private async runBoundary(...query: unknown[]): Promise<unknown> {
    try {
      return await this.run(...query);
    } catch (error) {
      this.giveBack(true);
      throw error;
    }
  }

  private readonly discardSilent = (error: unknown): void => {
    if (error instanceof Error && error.message === NO_ANSWER) this.giveBack(true);
  };
}
