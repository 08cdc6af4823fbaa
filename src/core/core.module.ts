import { type DynamicModule, Global, Module } from '@nestjs/common';
import { AuditLog } from './audit/audit-log.js';
import { Capabilities } from './process/capabilities.js';
import { Connections } from './http/connections.js';
import { Counters, PostgresCounters } from './rate-limits/counters.js';
import { DatabasePools } from './database/database-pools.js';
import { ENV, type Env } from './env.js';
import { Idempotency } from './http/idempotency.js';
import { Metrics } from './metrics/metrics.js';
import { PoolMetrics } from './metrics/pool-metrics.js';
import { ReadDatabase } from './database/read-database.js';
import { Readiness } from './process/readiness.js';
import { RowChanges } from './database/row-changes.js';
import { Shutdown } from './process/shutdown.js';
import { startTracing, Tracing } from './tracing/tracing.js';

const SERVICES = [
  AuditLog,
  Capabilities,
  Connections,
  DatabasePools,
  Idempotency,
  Metrics,
  ReadDatabase,
  Readiness,
  RowChanges,
  Shutdown,
];

/** What every module may rely on without importing it. */
@Global()
@Module({})
export class CoreModule {
  static forRoot(env: Env): DynamicModule {
    return {
      module: CoreModule,
      providers: [
        { provide: ENV, useValue: env },
        { provide: Tracing, inject: [ENV], useFactory: startTracing },
        ...SERVICES,
        PoolMetrics,
        { provide: Counters, useClass: PostgresCounters },
      ],
      exports: [ENV, Tracing, Counters, ...SERVICES],
    };
  }
}
