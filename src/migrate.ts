import { MikroORM } from '@mikro-orm/postgresql';
import { runMigrations } from 'bullmq';
import { connectOrRefuse } from './core/database/database-url.js';
import { readEnv } from './core/env.js';
import { createLogger } from './core/process/logging.js';
import { runEntryPoint } from './core/process/entry-point.js';
import { migrationAddress, migrationOptions, NO_LIMITS } from './mikro-orm.config.js';
import { BULLMQ_SCHEMA } from './queue/postgres/postgres-backend.js';
import { grantRuntimeRole, limitRuntimeRole } from './runtime-role.js';

/** One migration at a time on one database, whoever starts them. Any number will do. */
const MIGRATION_LOCK = 4_190_001;

/** Brings the database to this build's schema: our tables, BullMQ's, and the restricted role. */
runEntryPoint(async () => {
  const env = readEnv();
  const logger = createLogger(env, 'migrate');
  const client = await connectOrRefuse(migrationAddress(env), {
    application_name: 'atelier-migrate',
    options: NO_LIMITS,
  });
  const orm = await MikroORM.init(migrationOptions(env));
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await runMigrations(client, BULLMQ_SCHEMA);
    const applied = await orm.migrator.up();
    await grantRuntimeRole(client, orm, env);
    await limitRuntimeRole(env);
    logger.info({ applied: applied.map(({ name }) => name) }, 'The database is up to date');
  } finally {
    await orm.close();
    await client.end();
  }
});
