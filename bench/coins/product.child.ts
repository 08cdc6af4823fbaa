import { join } from 'node:path';
import { MikroORM } from '@mikro-orm/postgresql';
import { v7 } from 'uuid';
import { answerTasks } from './spends.ts';

/** Spends as the product does it: by `Coins.spend`, with everything that it checks. */

answerTasks(async ({ build, variables }) => {
  const source = (path: string): Promise<unknown> => import(join(build, 'src', path));
  const { readEnv } = (await source('core/env.js')) as typeof import('../../src/core/env.ts');
  const { ormOptions } = (await source(
    'mikro-orm.config.js',
  )) as typeof import('../../src/mikro-orm.config.ts');
  const { DatabasePools } = (await source(
    'core/database/database-pools.js',
  )) as typeof import('../../src/core/database/database-pools.ts');
  const { ReadDatabase } = (await source(
    'core/database/read-database.js',
  )) as typeof import('../../src/core/database/read-database.ts');
  const { Coins } = (await source(
    'coins/coins.service.js',
  )) as typeof import('../../src/coins/coins.service.ts');
  const env = readEnv(variables);
  const { em } = await MikroORM.init(ormOptions(env));
  const coins = new Coins(em, new ReadDatabase(em, new DatabasePools(), env));
  return (userId) => coins.spend({ userId, amount: 1, kind: 'GENERATION', reference: v7() });
});
