import { Module } from '@nestjs/common';
import { Health } from './health.service.js';
import { WorkerServer } from './worker-server.js';

/** What operators ask of the worker. */
@Module({ providers: [Health, WorkerServer] })
export class HealthWorkerModule {}
