import type { BullRootModuleOptions } from '@nestjs/bullmq';
import {
  assertSchemaCompatibility,
  type ConnectionOptions,
  setDefaultBackendFactory,
} from 'bullmq';
import type pg from 'pg';
import { CannotStart } from '../core/cannot-start.js';
import type { DatabasePools } from '../core/database-pools.js';
import { connectionOptions, connectOrRefuse, directAddress } from '../core/database-url.js';
import type { Env } from '../core/env.js';
import { sessionLimits } from '../core/session-limits.js';
import { createSharingBackend, SharedConnection } from './shared-connection.js';

/** The schema of BullMQ's own tables; `npm run migrate` makes it. */
export const BULLMQ_SCHEMA = 'bullmq';
/**
 * The one place that chooses what BullMQ runs on.
 *
 * @throws CannotStart when its tables are missing or the database is away: BullMQ itself would
 * never recover from that
 */
export async function queueOptions(env: Env, pools: DatabasePools): Promise<BullRootModuleOptions> {
  await requireTables(env);
  const connection = new SharedConnection({
    ...connectionOptions(directAddress(env).url),
    schema: BULLMQ_SCHEMA,
    max: env.DATABASE_QUEUE_POOL_SIZE,
    connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'atelier-queue',
    ...sessionLimits(env, false),
  });
  pools.register('queue', connection.pool as pg.Pool);
  setDefaultBackendFactory(createSharingBackend);
  // Nest and BullMQ only hand it on, to the factory.
  return { connection: connection as unknown as ConnectionOptions };
}

/** What `GET /health/capabilities` tells of the queue. */
export const queueCapability = { part: 'queue', driver: 'bullmq-postgresql', embedded: true };

/**
 * BullMQ's own view of a worker. A carrier that stalls is only handed on: the row's lease decides
 * whether there is anything to do, and the row, not the carrier, counts attempts.
 */
export const workerOptions = {
  lockDuration: 15_000,
  stalledInterval: 5_000,
  maxStalledCount: 1_000_000,
  /** After a fault of the connection, try again this soon, in milliseconds. */
  runRetryDelay: 1_000,
  /** Look at the queue at least this often, in seconds, should a notification be lost. */
  drainDelay: 5,
};

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
