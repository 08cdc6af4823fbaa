import { Controller, Get } from '@nestjs/common';
import { Roles } from '../../auth/access/roles.guard.js';
import { Operation } from '../../core/openapi/openapi.js';
import { queueMetricsSchema } from './queue-metrics.schema.js';
import { QueuesService } from './queues.service.js';

/** What waits, what runs, and how fast it goes. */
@Controller('api/v1/admin/queue-metrics')
@Roles('ADMIN')
export class QueuesController {
  constructor(private readonly queues: QueuesService) {}

  @Get()
  @Operation({
    summary: 'Show how the work of each kind of job stands',
    description:
      'The figures are of all processes together, and do not depend on what the queue remembers.',
    answers: { 200: { description: 'A queue for each kind of job', schema: queueMetricsSchema } },
  })
  metrics() {
    return this.queues.metrics();
  }
}
