import { EntityManager } from '@mikro-orm/postgresql';
import { type TestingApp } from './testing-app.js';

/**
 * Runs a statement on each connection of the API's pool, which makes those that it lacks: none is
 * given back before all have run it.
 *
 * @param size how many connections the pool has at the most
 */
export async function onEachConnection(
  { app }: TestingApp,
  size: number,
  statement = 'select 1',
): Promise<void> {
  const em = app.get(EntityManager);
  const allHaveRun = Promise.withResolvers<undefined>();
  let left = size;
  const transactions = Array.from({ length: size }, () =>
    em.fork().transactional(async (transaction) => {
      await transaction.execute(statement);
      left -= 1;
      if (left === 0) allHaveRun.resolve(undefined);
      await allHaveRun.promise;
    }),
  );
  await Promise.all(transactions);
}
