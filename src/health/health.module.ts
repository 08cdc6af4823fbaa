import { Module } from '@nestjs/common';
import { HealthController } from './health.controller.js';
import { ProblemsController } from './problems.controller.js';

/** What operators and puzzled clients ask: does it live, what does it run on, what went wrong. */
@Module({ controllers: [HealthController, ProblemsController] })
export class HealthModule {}
