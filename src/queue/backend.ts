import type { BullRootModuleOptions } from '@nestjs/bullmq';
import { assertSchemaCompatibility, createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import pg from 'pg';
import { CannotStart } from '../core/cannot-start.js';
import type { Env } from '../core/env.js';

/** The schema of BullMQ's own tables; `npm run migrate` makes it. */
export const BULLMQ_SCHEMA = 'bullmq';
/** Per queue and process; the LISTEN connection of a worker comes on top. */
const CONNECTIONS_PER_QUEUE = 2;

/**
 * The one place that chooses what BullMQ runs on.
 *
 * @throws CannotStart when its tables are missing or the database is away: BullMQ itself would
 * never recover from that
 */
export async function queueOptions(env: Env): Promise<BullRootModuleOptions> {
  await requireTables(env);
  setDefaultBackendFactory(createPostgresBackend);
  return {
    connection: {
      connectionString: env.DATABASE_DIRECT_URL ?? env.DATABASE_URL,
      schema: BULLMQ_SCHEMA,
      max: CONNECTIONS_PER_QUEUE,
      connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'atelier-queue',
    },
  };
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
  const client = new pg.Client({
    connectionString: env.DATABASE_DIRECT_URL ?? env.DATABASE_URL,
    connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
  });
  try {
    await client.connect();
    await assertSchemaCompatibility(client, BULLMQ_SCHEMA);
  } catch (error) {
    const { name, message } = error as Error;
    throw new CannotStart(
      name.startsWith('Schema')
        ? 'The database has not been migrated: run `npm run migrate` first.'
        : `The database of DATABASE_URL cannot be used: ${message}`,
    );
  } finally {
    await client.end().catch(() => undefined);
  }
}
