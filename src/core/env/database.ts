import { z } from 'zod';
import { documented, MINUTES, SECONDS } from './documented.js';
import { postgresUrl, postgresUrls, whole } from './values.js';

export const databaseVariables = {
  DATABASE_URL: documented(postgresUrl, {
    help: 'PostgreSQL 15 or later, as the restricted role. `npm start` runs its own PostgreSQL when this is unset.',
    example: 'postgresql://atelier_app:password@localhost:5432/atelier',
  }),
  MIGRATION_DATABASE_URL: documented(postgresUrl.optional(), {
    help: 'The same database as the role that owns the tables; only `npm run migrate` uses it. Default: DATABASE_DIRECT_URL, else DATABASE_URL.',
    example: 'postgresql://atelier_owner:password@localhost:5432/atelier',
  }),
  DATABASE_DIRECT_URL: documented(postgresUrl.optional(), {
    help: 'The same database and role without the pooler that DATABASE_URL leads through, for LISTEN and the queue. Default: DATABASE_URL.',
    example: 'postgresql://atelier_app:password@localhost:5432/atelier',
  }),
  DATABASE_REPLICA_URLS: documented(postgresUrls, {
    help: 'Streaming replicas that lists are read from in turn, as the restricted role, separated by commas.',
    example: 'postgresql://atelier_app:password@replica:5432/atelier',
  }),
  DATABASE_REPLICA_MAX_LAG_MS: documented(whole(5 * SECONDS, { min: 3_000, max: 10 * MINUTES }), {
    help: 'How far a replica may be behind before lists are read from the primary, in milliseconds.',
  }),
  EMBEDDED_POSTGRES: documented(z.stringbool().default(false), {
    help: 'Whether DATABASE_URL is the PostgreSQL that `npm start` runs; it sets this itself.',
  }),
  DATABASE_POOL_SIZE: documented(whole(10, { min: 2, max: 500 }), {
    help: 'The most connections that one process opens for its own queries, to the primary and to each replica.',
  }),
  DATABASE_QUEUE_POOL_SIZE: documented(whole(2, { min: 1, max: 100 }), {
    help: 'The most connections that one process opens for all queues when they are on PostgreSQL; a worker listens on one more.',
  }),
  DATABASE_POOL_TIMEOUT_MS: documented(whole(5 * SECONDS, { min: 100, max: 1 * MINUTES }), {
    help: 'How long a query waits for a connection, in milliseconds.',
  }),
  DATABASE_STATEMENT_TIMEOUT_MS: documented(whole(15 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    help: 'The longest that one statement may run, in milliseconds.',
  }),
  DATABASE_LOCK_TIMEOUT_MS: documented(whole(5 * SECONDS, { min: 100, max: 10 * MINUTES }), {
    help: 'The longest that a statement waits for a lock, in milliseconds.',
  }),
  DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: documented(
    whole(30 * SECONDS, { min: 1 * SECONDS, max: 10 * MINUTES }),
    {
      help: 'After how long PostgreSQL ends a transaction that does nothing, in milliseconds.',
    },
  ),
};
