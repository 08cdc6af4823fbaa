import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Inject, Logger, Module, type OnModuleInit } from '@nestjs/common';
import type { Client, ClientConfig } from 'pg';
import { Capabilities } from './core/process/capabilities.js';
import { CannotStart } from './core/process/cannot-start.js';
import {
  connectionOptions,
  connectOrRefuse,
  directAddress,
  hasPooler,
} from './core/database/database-url.js';
import { DatabasePools } from './core/database/database-pools.js';
import { ENV, type Env } from './core/env.js';
import { Readiness } from './core/process/readiness.js';
import { serverLimits, sessionLimits } from './core/database/session-limits.js';
import { ormOptions } from './mikro-orm.config.js';

/** The connection to PostgreSQL, and whether it is there and migrated. */
@Module({
  imports: [
    MikroOrmModule.forRootAsync({
      driver: PostgreSqlDriver,
      inject: [ENV, DatabasePools],
      useFactory: async (env: Env, pools: DatabasePools) => {
        await requireDatabase(env);
        return {
          ...ormOptions(env, (pool) => {
            pools.register('primary', pool);
          }),
          registerRequestContext: false,
        };
      },
    }),
  ],
})
export class DatabaseModule implements OnModuleInit {
  constructor(
    private readonly orm: MikroORM,
    private readonly em: EntityManager,
    private readonly readiness: Readiness,
    private readonly capabilities: Capabilities,
    @Inject(ENV) private readonly env: Env,
  ) {}

  onModuleInit(): void {
    const embedded = this.env.EMBEDDED_POSTGRES;
    this.capabilities.register({ part: 'database', driver: 'postgresql', embedded });
    this.readiness.register('database', () => this.em.fork().execute('select 1'));
    this.readiness.register('migrations', () => this.requireMigrations());
  }

  /** Migrations that this build brings and the database has not seen: someone must run them. */
  private async requireMigrations(): Promise<void> {
    const pending = await this.orm.migrator.getPending();
    if (pending.length > 0) throw new Error(`${pending.length} migrations are pending`);
  }
}

/**
 * Looks at each way to the database before anything relies on it.
 *
 * @throws CannotStart naming the variable
 */
async function requireDatabase(env: Env): Promise<void> {
  const options = { connectionTimeoutMillis: env.DATABASE_POOL_TIMEOUT_MS };
  const address = { variable: 'DATABASE_URL', url: env.DATABASE_URL };
  requireReadable(env);
  const client = await connectOrRefuse(address, {
    ...options,
    ...sessionLimits(env, hasPooler(env)),
  });
  try {
    if (!hasPooler(env)) return;
    await tellOtherLimits(client, env);
    await requireSameDatabase(client, env, { ...options, ...serverLimits(env) });
  } finally {
    await client.end();
  }
}

/** The direct way has to lead to where the other one leads, or half of the work went elsewhere. */
async function requireSameDatabase(pooled: Client, env: Env, options: ClientConfig): Promise<void> {
  const direct = await connectOrRefuse(directAddress(env), options);
  try {
    const [one, other] = await Promise.all([pooled, direct].map(databaseOf));
    if (one === other) return;
    throw new CannotStart('DATABASE_DIRECT_URL leads to another database than DATABASE_URL.');
  } finally {
    await direct.end();
  }
}

async function databaseOf(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  return rows[0]?.name;
}

/** A replica may be away, but what is written of it has to make sense. */
function requireReadable(env: Env): void {
  try {
    env.DATABASE_REPLICA_URLS.forEach(connectionOptions);
  } catch (error) {
    throw new CannotStart(`DATABASE_REPLICA_URLS cannot be used: ${(error as Error).message}`);
  }
}

/** Behind a pooler the limits are the role's: as `npm run migrate` wrote them, at connecting. */
async function tellOtherLimits(client: Client, env: Env): Promise<void> {
  const wanted: Record<string, number> = serverLimits(env);
  const { rows } = await client.query<{ name: string; setting: string }>(
    'select name, setting from pg_settings where name = any($1)',
    [Object.keys(wanted)],
  );
  const others = rows.filter(({ name, setting }) => Number(setting) !== wanted[name]);
  if (others.length === 0) return;
  new Logger(DatabaseModule.name).warn({
    found: Object.fromEntries(others.map(({ name, setting }) => [name, Number(setting)])),
    msg: 'Behind the pooler of DATABASE_URL other time-outs hold than are set here: run `npm run migrate`, and have the pooler RECONNECT',
  });
}
