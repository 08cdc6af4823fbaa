import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import { Capabilities } from './core/capabilities.js';
import { ENV, type Env } from './core/env.js';
import { Readiness } from './core/readiness.js';
import { ormOptions } from './mikro-orm.config.js';

/** The connection to PostgreSQL, and whether it is there and migrated. */
@Module({
  imports: [
    MikroOrmModule.forRootAsync({
      driver: PostgreSqlDriver,
      inject: [ENV],
      useFactory: (env: Env) => ({ ...ormOptions(env), registerRequestContext: false }),
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
