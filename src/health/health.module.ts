import { Module } from '@nestjs/common';
import { HealthController } from './health.controller.js';
import { Health } from './health.service.js';
import { MetricsController } from './metrics.controller.js';
import { ProblemsController } from './problems.controller.js';

/** What operators and puzzled clients ask: does it live, what does it run on, what went wrong. */
@Module({
  controllers: [HealthController, MetricsController, ProblemsController],
  providers: [Health],
})
export class HealthModule {}
