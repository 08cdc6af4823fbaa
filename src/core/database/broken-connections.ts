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
  const connect = pool.connect.bind(pool);
  const connectGuarded = async (): Promise<PoolClient> => guard(await connect(), prepares);
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

/** A client that is given back by itself when it is of no more use, and at most once. */
function guard(client: PoolClient, prepares: boolean): PoolClient {
  const release = client.release.bind(client);
  const run = client.query.bind(client) as (...query: unknown[]) => unknown;
  let isOut = true;
  const giveBack = (broken?: Error | boolean): void => {
    if (!isOut) return;
    isOut = false;
    client.off('end', discard);
    Reflect.deleteProperty(client, 'query');
    release(broken);
  };
  const discard = (): void => {
    giveBack(true);
  };
  const discardSilent = (error: unknown): void => {
    if (error instanceof Error && error.message === NO_ANSWER) discard();
  };
  const query = async (...query: unknown[]): Promise<unknown> => {
    try {
      return await run(...query);
    } catch (error) {
      discard();
      throw error;
    }
  };
  client.once('end', discard);
  return Object.assign(client, {
    release: giveBack,
    query: (text: unknown, ...more: unknown[]) => {
      if (typeof text !== 'string') return run(text, ...more);
      if (BOUNDARY.test(text)) return query(text, ...more);
      const name = prepares ? preparedName(text) : undefined;
      const result = name === undefined ? run(text, ...more) : run({ name, text, values: more[0] });
      if (result instanceof Promise) result.catch(discardSilent);
      return result;
    },
  });
}
