import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Capabilities } from './capabilities.js';
import { Connections } from './connections.js';
import { DatabasePools } from './database-pools.js';
import { ENV, type Env } from './env.js';
import { Idempotency } from './idempotency.js';
import { ReadDatabase } from './read-database.js';
import { Readiness } from './readiness.js';
import { RowChanges } from './row-changes.js';
import { Shutdown } from './shutdown.js';

const SERVICES = [
  Capabilities,
  Connections,
  DatabasePools,
  Idempotency,
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
      providers: [{ provide: ENV, useValue: env }, ...SERVICES],
      exports: [ENV, ...SERVICES],
    };
  }
}
