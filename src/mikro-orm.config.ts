import { join } from 'node:path';
import { Migrator } from '@mikro-orm/migrations';
import { defineConfig } from '@mikro-orm/postgresql';
import { Logger } from '@nestjs/common';
import { Studio, StudioMember } from './auth/studio.entity.js';
import { User } from './auth/user.entity.js';
import { takeBackBroken } from './core/database-pool.js';
import type { Env } from './core/env.js';
import { IdempotencyKey } from './core/idempotency-key.entity.js';
import { Timer } from './core/timer.entity.js';
import { DeletedImage } from './images/deleted-image.entity.js';
import { Image } from './images/image.entity.js';
import { ImageLink } from './images/image-link.entity.js';
import { ImageVariant } from './images/image-variant.entity.js';
import { ResumableUpload } from './images/resumable/resumable-upload.entity.js';
import { BULLMQ_SCHEMA } from './queue/backend.js';
import { FailedJob } from './queue/failed-job.entity.js';
import { FileRemoval } from './storage/file-removal.entity.js';

/** Every table of ours. */
const ENTITIES = [
  DeletedImage,
  FailedJob,
  FileRemoval,
  IdempotencyKey,
  Image,
  ImageLink,
  ImageVariant,
  ResumableUpload,
  Studio,
  StudioMember,
  Timer,
  User,
];

/** Where migrations lie: beside the compiled code, and in the sources where they are written. */
const COMPILED_MIGRATIONS = join(import.meta.dirname, '../migrations');
const MIGRATION_SOURCES = 'migrations';

const log = new Logger('MikroORM');
const SILENT_SERVER_MARGIN_MS = 5_000;

type DatabaseEnv = Pick<
  Env,
  | 'DATABASE_URL'
  | 'DATABASE_POOL_SIZE'
  | 'DATABASE_POOL_TIMEOUT_MS'
  | 'DATABASE_STATEMENT_TIMEOUT_MS'
  | 'DATABASE_LOCK_TIMEOUT_MS'
  | 'DATABASE_IDLE_TRANSACTION_TIMEOUT_MS'
>;

/** MikroORM's options for the running product. */
export function ormOptions(env: DatabaseEnv) {
  return defineConfig({
    clientUrl: env.DATABASE_URL,
    entities: ENTITIES,
    extensions: [Migrator],
    forceUtcTimezone: true,
    colors: false,
    logger: (message) => {
      log.warn(message);
    },
    pool: { min: 0, max: env.DATABASE_POOL_SIZE },
    driverOptions: {
      onPoolCreated: takeBackBroken,
      application_name: 'atelier',
      keepAlive: true,
      connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
      statement_timeout: env.DATABASE_STATEMENT_TIMEOUT_MS,
      // The server keeps to its own limit; this one is for a server that says nothing at all.
      ...(env.DATABASE_STATEMENT_TIMEOUT_MS > 0 && {
        query_timeout: env.DATABASE_STATEMENT_TIMEOUT_MS + SILENT_SERVER_MARGIN_MS,
      }),
      lock_timeout: env.DATABASE_LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: env.DATABASE_IDLE_TRANSACTION_TIMEOUT_MS,
    },
    // BullMQ keeps its own schema, with migrations of its own.
    schemaGenerator: { ignoreSchema: [BULLMQ_SCHEMA] },
    migrations: {
      path: COMPILED_MIGRATIONS,
      pathTs: MIGRATION_SOURCES,
      snapshotName: '.snapshot-atelier',
      emit: 'ts',
    },
  });
}

/** MikroORM's options for migrating: the owner's role, time for long statements, no chatter. */
export function migrationOptions(env: Pick<Env, 'DATABASE_URL' | 'MIGRATION_DATABASE_URL'>) {
  const options = ormOptions({
    DATABASE_URL: env.MIGRATION_DATABASE_URL ?? env.DATABASE_URL,
    DATABASE_POOL_SIZE: 2,
    DATABASE_POOL_TIMEOUT_MS: 10_000,
    DATABASE_STATEMENT_TIMEOUT_MS: 0,
    DATABASE_LOCK_TIMEOUT_MS: 60_000,
    DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: 0,
  });
  return { ...options, logger: () => undefined };
}
