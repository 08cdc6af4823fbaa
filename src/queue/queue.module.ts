import { BullModule, getQueueToken } from '@nestjs/bullmq';
import {
  type DynamicModule,
  Global,
  Logger,
  Module,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { Capabilities } from '../core/capabilities.js';
import { DatabasePools } from '../core/database-pools.js';
import { ENV } from '../core/env.js';
import { Readiness } from '../core/readiness.js';
import { queueCapability, queueOptions } from './backend.js';
import { Dispatcher } from './dispatcher.js';
import type { JobDefinition } from './job.js';
import { JobMetrics } from './job-metrics.js';
import { JobServices } from './job-processor.js';
import { JobRegistry } from './job-registry.js';
import { WorkLeases } from './work-lease.js';

/** The queue of every process: the API enqueues, the worker also works. */
@Global()
@Module({
  imports: [BullModule.forRootAsync({ inject: [ENV, DatabasePools], useFactory: queueOptions })],
  providers: [JobRegistry, JobMetrics, Dispatcher, WorkLeases, JobServices],
  exports: [JobRegistry, Dispatcher, JobServices],
})
export class QueueModule implements OnApplicationBootstrap {
  private readonly logger = new Logger(QueueModule.name);

  constructor(
    private readonly modules: ModuleRef,
    private readonly registry: JobRegistry,
    private readonly readiness: Readiness,
    capabilities: Capabilities,
  ) {
    capabilities.register(queueCapability);
  }

  /** The queue of one job; a feature imports it where it defines the job. */
  static forJob(job: JobDefinition): DynamicModule {
    return {
      module: JobQueueModule,
      imports: [BullModule.registerQueue({ name: job.name })],
      providers: [
        {
          provide: `job:${job.name}`,
          inject: [JobRegistry],
          useFactory: (registry: JobRegistry) => {
            registry.define(job);
            return job;
          },
        },
      ],
      exports: [BullModule],
    };
  }

  async onApplicationBootstrap(): Promise<void> {
    const queues = this.registry
      .list()
      .map(({ name }) => this.modules.get<Queue>(getQueueToken(name), { strict: false }));
    for (const queue of queues) {
      queue.on('error', (error) => {
        this.logger.warn({ err: error, queue: queue.name, msg: 'The queue reports an error' });
      });
    }
    await Promise.all(queues.map((queue) => queue.waitUntilReady()));
    this.readiness.register('queue', () =>
      Promise.all(queues.map((queue) => queue.getWaitingCount())),
    );
  }
}

/** Carries the providers of one job's queue. */
@Module({})
class JobQueueModule {}
