import type { BullRootModuleOptions } from '@nestjs/bullmq';
import { createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import type { Env } from '../core/env.js';

/** The schema of BullMQ's own tables; `npm run migrate` makes it. */
export const BULLMQ_SCHEMA = 'bullmq';
/** Per queue and process; the LISTEN connection of a worker comes on top. */
const CONNECTIONS_PER_QUEUE = 2;

/** The one place that chooses what BullMQ runs on. */
export function queueOptions(env: Env): BullRootModuleOptions {
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
  /** Look at the queue at least this often, in seconds, should a notification be lost. */
  drainDelay: 5,
};
