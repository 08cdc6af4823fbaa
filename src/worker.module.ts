import { type DynamicModule, Module } from '@nestjs/common';
import { AuthWorkerModule } from './auth/auth-worker.module.js';
import { CoreModule } from './core/core.module.js';
import type { Env } from './core/env.js';
import { DatabaseModule } from './database.module.js';
import { GenerationWorkerModule } from './generation/generation-worker.module.js';
import { HealthWorkerModule } from './health/health-worker.module.js';
import { ImagesWorkerModule } from './images/images-worker.module.js';
import { MailWorkerModule } from './mail/mail-worker.module.js';
import { QueueModule } from './queue/queue.module.js';
import { QueueWorkerModule } from './queue/queue-worker.module.js';
import { StorageWorkerModule } from './storage/storage-worker.module.js';

/** The worker: the same features without HTTP, and their processors. */
@Module({})
export class WorkerModule {
  static forRoot(env: Env): DynamicModule {
    return {
      module: WorkerModule,
      imports: [
        CoreModule.forRoot(env),
        DatabaseModule,
        QueueModule,
        QueueWorkerModule,
        StorageWorkerModule,
        AuthWorkerModule,
        MailWorkerModule,
        ImagesWorkerModule,
        GenerationWorkerModule,
        HealthWorkerModule,
      ],
    };
  }
}
