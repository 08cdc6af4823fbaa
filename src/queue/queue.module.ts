import { BullModule, getQueueToken } from '@nestjs/bullmq';
import {
  type DynamicModule,
  Global,
  Inject,
  Module,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { Capabilities } from '../core/process/capabilities.js';
import { DatabasePools } from '../core/database/database-pools.js';
import { ENV, type Env } from '../core/env.js';
import { Readiness } from '../core/process/readiness.js';
import { AttemptCounts } from './attempt-counts.js';
import { queueCapability, queueOptions, requireUsable, untilConnected } from './backend.js';
import { DeadLetters } from './dead-letters.js';
import { Dispatcher } from './dispatcher.js';
import type { JobDefinition } from './job.js';
import { JobMetrics } from './job-metrics.js';
import { JobServices } from './job-processor.js';
import { JobRegistry } from './job-registry.js';
import { ConnectionErrors } from './connection-errors.js';
import { QueueFigures } from './queue-figures.js';
import { Rounds } from './rounds.js';
import { WorkLeases } from './work-lease.js';

/** The queue of every process: the API enqueues, the worker also works. */
@Global()
@Module({
  imports: [BullModule.forRootAsync({ inject: [ENV, DatabasePools], useFactory: queueOptions })],
  providers: [
    AttemptCounts,
    DeadLetters,
    Dispatcher,
    JobMetrics,
    JobRegistry,
    JobServices,
    QueueFigures,
    Rounds,
    WorkLeases,
  ],
  exports: [AttemptCounts, DeadLetters, Dispatcher, JobRegistry, JobServices, QueueFigures],
})
export class QueueModule implements OnApplicationBootstrap {
  constructor(
    private readonly modules: ModuleRef,
    private readonly registry: JobRegistry,
    private readonly readiness: Readiness,
    capabilities: Capabilities,
    @Inject(ENV) env: Env,
  ) {
    capabilities.register(queueCapability(env));
  }

  /** The queue of one job; a feature imports it where it defines the job. */
  static forJob(job: JobDefinition): DynamicModule {
    return {
      module: JobQueueModule,
      imports: [BullModule.registerQueue({ name: job.name })],
      providers: [
        {
          provide: `job:${job.name}`,
          inject: [JobRegistry, getQueueToken(job.name)],
          useFactory: (registry: JobRegistry, queue: Queue) => {
            registry.define(job);
            new ConnectionErrors(`queue ${job.name}`).listenTo(queue);
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
    await Promise.all(queues.map(untilConnected));
    // Requests need no queue: their rows are handed over when it is back. Work does.
    this.readiness.register('queue', () => Promise.all(queues.map(requireUsable)), {
      isRequired: this.registry.isWorkedOn,
    });
  }
}

/** Carries the providers of one job's queue. */
@Module({})
class JobQueueModule {}
