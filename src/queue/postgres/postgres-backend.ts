import type { BullRootModuleOptions } from '@nestjs/bullmq';
import {
  assertSchemaCompatibility,
  type ConnectionOptions,
  setDefaultBackendFactory,
} from 'bullmq';
import type pg from 'pg';
import { CannotStart } from '../../core/process/cannot-start.js';
import type { DatabasePools } from '../../core/database/database-pools.js';
import {
  connectionOptions,
  connectOrRefuse,
  directAddress,
} from '../../core/database/database-url.js';
import type { Env } from '../../core/env.js';
import { sessionLimits, silenceLimitMs } from '../../core/database/session-limits.js';
import { createSharingBackend, SharedConnection } from './shared-connection.js';

/** The schema of BullMQ's own tables; `npm run migrate` makes it. */
export const BULLMQ_SCHEMA = 'bullmq';

/**
 * BullMQ on PostgreSQL.
 *
 * @throws CannotStart when its tables are missing or the database is away: BullMQ itself would
 * never recover from that
 */
export async function postgresQueueOptions(
  env: Env,
  pools: DatabasePools,
): Promise<BullRootModuleOptions> {
  await requireTables(env);
  const connection = new SharedConnection({
    ...connectionOptions(directAddress(env).url),
    schema: BULLMQ_SCHEMA,
    max: env.DATABASE_QUEUE_POOL_SIZE,
    connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'atelier-queue',
    ...sessionLimits(env, false),
    query_timeout: silenceLimitMs(env),
  });
  pools.register('queue', connection.pool as pg.Pool);
  setDefaultBackendFactory(createSharingBackend);
  // Nest and BullMQ only hand it on, to the factory.
  return { connection: connection as unknown as ConnectionOptions };
}

async function requireTables(env: Env): Promise<void> {
  const client = await connectOrRefuse(directAddress(env), {
    connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
  });
  try {
    await assertSchemaCompatibility(client, BULLMQ_SCHEMA);
  } catch (error) {
    const { name, message } = error as Error;
    throw new CannotStart(
      name.startsWith('Schema')
        ? 'The database has not been migrated: run `npm run migrate` first.'
        : `The queue's tables cannot be read: ${message}`,
    );
  } finally {
    await client.end();
  }
}
