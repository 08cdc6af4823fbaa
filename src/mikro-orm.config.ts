import { join } from 'node:path';
import { Migrator } from '@mikro-orm/migrations';
import { defineConfig } from '@mikro-orm/postgresql';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { AccountToken } from './auth/mail/account-token.entity.js';
import { RecoveryCode } from './auth/second-factor/codes/recovery-code.entity.js';
import { TotpSecret } from './auth/second-factor/codes/totp-secret.entity.js';
import { Studio, StudioMember } from './auth/users/studio.entity.js';
import { User } from './auth/users/user.entity.js';
import { Session } from './auth/sessions/session.entity.js';
import { CoinAccount } from './coins/coin-account.entity.js';
import { CoinTransfer } from './coins/coin-transfer.entity.js';
import { takeBackBroken } from './core/database/broken-connections.js';
import {
  connectionOptions,
  type DatabaseAddress,
  directAddress,
  hasPooler,
} from './core/database/database-url.js';
import type { Env } from './core/env.js';
import { IdempotencyKey } from './core/http/idempotency-key.entity.js';
import { ownEntityManager } from './core/database/own-entity-manager.js';
import { type LimitsEnv, sessionLimits, silenceLimitMs } from './core/database/session-limits.js';
import { Timer } from './core/reconciler/timer.entity.js';
import { AuditDetails, AuditEntry } from './core/audit/audit-entry.entity.js';
import { Counter } from './core/rate-limits/counter.entity.js';
import { ErasedGenerationCost } from './generation/costs/erased-generation-cost.entity.js';
import { ModelSlot } from './generation/painting/model-slot.entity.js';
import { GenerationImage } from './generation/generation-image.entity.js';
import { Generation } from './generation/generation.entity.js';
import { DeletedImage } from './images/deleted-image.entity.js';
import { Image } from './images/image.entity.js';
import { ImageLink } from './images/image-link.entity.js';
import { ImageVariant } from './images/image-variant.entity.js';
import { ResumableUpload } from './images/resumable/resumable-upload.entity.js';
import { OutgoingMail } from './mail/outgoing-mail.entity.js';
import { MigrationWriter } from './migration-writer.js';
import { BULLMQ_SCHEMA } from './queue/postgres/postgres-backend.js';
import { FailedJob } from './queue/failed-job.entity.js';
import { AttemptTotal, SettledAttempt } from './queue/settled-attempt.entity.js';
import { FileRemoval } from './storage/file-removal.entity.js';

/** Every table of ours. */
const ENTITIES = [
  AccountToken,
  AttemptTotal,
  Counter,
  AuditDetails,
  AuditEntry,
  CoinAccount,
  CoinTransfer,
  DeletedImage,
  ErasedGenerationCost,
  ModelSlot,
  FailedJob,
  FileRemoval,
  IdempotencyKey,
  Generation,
  GenerationImage,
  Image,
  ImageLink,
  ImageVariant,
  OutgoingMail,
  RecoveryCode,
  ResumableUpload,
  Session,
  SettledAttempt,
  Studio,
  StudioMember,
  Timer,
  TotpSecret,
  User,
];

/** Where migrations lie: beside the compiled code, and in the sources where they are written. */
const COMPILED_MIGRATIONS = join(import.meta.dirname, '../migrations');
const MIGRATION_SOURCES = 'migrations';

const log = new Logger('MikroORM');

/** Migrations take their time. The role may have limits of its own, and pg takes a 0 for unset. */
export const NO_LIMITS =
  '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0';

type DatabaseEnv = LimitsEnv &
  Pick<
    Env,
    'DATABASE_URL' | 'DATABASE_DIRECT_URL' | 'DATABASE_POOL_SIZE' | 'DATABASE_POOL_TIMEOUT_MS'
  >;

/**
 * MikroORM's options for the running product.
 *
 * @param onPool is shown the pool when it is made
 */
export function ormOptions(env: DatabaseEnv, onPool: (pool: Pool) => void = () => undefined) {
  return defineConfig({
    clientUrl: env.DATABASE_URL,
    entities: ENTITIES,
    extensions: [Migrator],
    context: ownEntityManager,
    forceUtcTimezone: true,
    colors: false,
    logger: (message) => {
      log.warn(message);
    },
    pool: { min: 0, max: env.DATABASE_POOL_SIZE },
    driverOptions: {
      onPoolCreated: (pool: Pool) => {
        takeBackBroken(pool, { prepares: !hasPooler(env), silenceMs: silenceLimitMs(env) });
        onPool(pool);
      },
      // MikroORM takes host, role and database from its URL, and leaves out what is said of TLS.
      ...connectionOptions(env.DATABASE_URL),
      application_name: 'atelier',
      keepAlive: true,
      connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS,
      ...sessionLimits(env, hasPooler(env)),
    },
    // BullMQ keeps its own schema, with migrations of its own.
    schemaGenerator: { ignoreSchema: [BULLMQ_SCHEMA] },
    migrations: {
      path: COMPILED_MIGRATIONS,
      pathTs: MIGRATION_SOURCES,
      snapshotName: '.snapshot-atelier',
      emit: 'ts',
      generator: MigrationWriter,
    },
  });
}

/** What tells where migrations run. */
export type MigrationEnv = Pick<Env, 'DATABASE_URL'> &
  Partial<Pick<Env, 'DATABASE_DIRECT_URL' | 'MIGRATION_DATABASE_URL'>>;

/** Where migrations run: as the owner, and never through a pooler when there is another way. */
export function migrationAddress(env: MigrationEnv): DatabaseAddress {
  return env.MIGRATION_DATABASE_URL === undefined
    ? directAddress({ DATABASE_DIRECT_URL: undefined, ...env })
    : { variable: 'MIGRATION_DATABASE_URL', url: env.MIGRATION_DATABASE_URL };
}

/** MikroORM's options for migrating: the owner's role, time for long statements, no chatter. */
export function migrationOptions(env: MigrationEnv) {
  const options = ormOptions({
    DATABASE_URL: migrationAddress(env).url,
    DATABASE_DIRECT_URL: undefined,
    DATABASE_POOL_SIZE: 2,
    DATABASE_POOL_TIMEOUT_MS: 10_000,
    DATABASE_STATEMENT_TIMEOUT_MS: 0,
    DATABASE_LOCK_TIMEOUT_MS: 60_000,
    DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: 0,
  });
  return {
    ...options,
    driverOptions: { ...options.driverOptions, options: NO_LIMITS },
    logger: () => undefined,
  };
}
