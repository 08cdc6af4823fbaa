import { type DynamicModule, Module } from '@nestjs/common';
import { AdminModule } from './admin/admin.module.js';
import { AuthModule } from './auth/auth.module.js';
import { CoinsModule } from './coins/coins.module.js';
import { CoreModule } from './core/core.module.js';
import type { Env } from './core/env.js';
import { DatabaseModule } from './database.module.js';
import { GenerationModule } from './generation/generation.module.js';
import { HealthModule } from './health/health.module.js';
import { ImagesModule } from './images/images.module.js';
import { QueueModule } from './queue/queue.module.js';
import { StorageModule } from './storage/storage.module.js';

/** The API: every feature with its routes, and nothing that works on jobs. */
@Module({})
export class AppModule {
  static forRoot(env: Env): DynamicModule {
    return {
      module: AppModule,
      imports: [
        CoreModule.forRoot(env),
        DatabaseModule,
        QueueModule,
        StorageModule,
        HealthModule,
        AuthModule,
        CoinsModule,
        ImagesModule,
        GenerationModule,
        AdminModule,
      ],
    };
  }
}
