import { MikroORM } from '@mikro-orm/postgresql';
import { runEntryPoint } from './core/entry-point.js';
import { readEnv } from './core/env.js';
import { createLogger } from './core/logging.js';
import { migrationOptions } from './mikro-orm.config.js';

/**
 * Writes a migration with what the entities have and the snapshot has not, into `migrations/`.
 * Read it before committing it: a column that was renamed looks like one dropped and one added.
 */
runEntryPoint(async () => {
  const env = readEnv();
  const orm = await MikroORM.init({ ...migrationOptions(env), preferTs: true });
  try {
    const { fileName } = await orm.migrator.create();
    createLogger(env, 'migration').info({ fileName: fileName || null }, 'Migration written');
  } finally {
    await orm.close();
  }
});
