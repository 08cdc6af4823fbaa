import { EntityManager } from '@mikro-orm/postgresql';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { AuditLog } from './audit/audit-log.js';
import { AuditPersonalData } from './audit/audit-personal-data.js';
import { Capabilities } from './process/capabilities.js';
import { Connections } from './http/connections.js';
import { Counters } from './rate-limits/counters.js';
import { DatabasePools } from './database/database-pools.js';
import { ENV, type Env } from './env.js';
import { Idempotency } from './http/idempotency.js';
import { IdempotencyPersonalData } from './http/idempotency-personal-data.js';
import { Metrics } from './metrics/metrics.js';
import { PersonalData } from './personal-data/personal-data.js';
import { PoolMetrics } from './metrics/pool-metrics.js';
import { PostgresCounters } from './rate-limits/postgres-counters.js';
import { RateLimits } from './rate-limits/rate-limits.js';
import { ReadDatabase } from './database/read-database.js';
import { Readiness } from './process/readiness.js';
import { redisAddress } from './redis/redis-address.js';
import { RequestLimits } from './rate-limits/request-limits.js';
import { RowChanges } from './database/row-changes.js';
import { Shutdown } from './process/shutdown.js';
import { startTracing, Tracing } from './tracing/tracing.js';
import { UserFigures } from './user-figures.js';

const SERVICES = [
  AuditLog,
  Capabilities,
  Connections,
  DatabasePools,
  Idempotency,
  Metrics,
  PersonalData,
  RateLimits,
  ReadDatabase,
  Readiness,
  RequestLimits,
  RowChanges,
  Shutdown,
  UserFigures,
];

/** What every module may rely on without importing it. */
@Global()
@Module({})
export class CoreModule {
  constructor(
    personalData: PersonalData,
    audit: AuditPersonalData,
    idempotency: IdempotencyPersonalData,
  ) {
    personalData.register(audit);
    personalData.register(idempotency);
  }

  static forRoot(env: Env): DynamicModule {
    return {
      module: CoreModule,
      providers: [
        { provide: ENV, useValue: env },
        { provide: Tracing, inject: [ENV], useFactory: startTracing },
        ...SERVICES,
        AuditPersonalData,
        IdempotencyPersonalData,
        PoolMetrics,
        { provide: Counters, inject: [ENV, EntityManager], useFactory: chooseCounters },
      ],
      exports: [ENV, Tracing, Counters, ...SERVICES],
    };
  }
}

/** Where the queue is, there limits are counted, too. */
async function chooseCounters(env: Env, em: EntityManager): Promise<Counters> {
  const postgres = new PostgresCounters(em);
  const redis = redisAddress(env);
  if (!redis) return postgres;
  const { RedisCounters } = await import('./rate-limits/redis-counters.js');
  return new RedisCounters(redis, env.REDIS_PREFIX, postgres);
}
