import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MikroORM } from '@mikro-orm/postgresql';
import { runEntryPoint } from './core/process/entry-point.js';
import { migrationOptions } from './mikro-orm.config.js';
import { EmbeddedPostgres } from './standalone/embedded-postgres.js';

/**
 * Writes a migration with what the entities have and the snapshot has not, into `migrations/`.
 * Read it before committing it: a column that was renamed looks like one dropped and one added.
 *
 * MikroORM wants to see a database for this, so it is given one for the moment.
 */
runEntryPoint(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-migration-'));
  const postgres = await EmbeddedPostgres.start({ dataDir, durable: false });
  const url = postgres.url('owner');
  const orm = await MikroORM.init({ ...migrationOptions({ DATABASE_URL: url }), preferTs: true });
  try {
    const { fileName } = await orm.migrator.create();
    process.stdout.write(fileName ? `Written: migrations/${fileName}\n` : 'Nothing to migrate.\n');
  } finally {
    await orm.close();
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
});
