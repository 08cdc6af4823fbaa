import { Controller, Get, Query } from '@nestjs/common';
import { Roles } from '../../auth/access/roles.guard.js';
import { Operation } from '../../core/openapi/openapi.js';
import { validationFailed } from '../../core/problems/problem.js';
import { GenerationCosts } from './generation-costs.js';
import { type CostsQuery, costsQuery, costsSchema } from './generation-costs.schema.js';

/** What administrators see of generations. */
@Controller('api/v1/admin/generations')
@Roles('ADMIN')
export class AdminGenerationsController {
  constructor(private readonly costs: GenerationCosts) {}

  @Get('costs')
  @Operation({
    summary: 'Show what pictures cost, and what was paid for them',
    description: 'By day and model.',
    answers: { 200: { description: 'The figures, the newest first', schema: costsSchema } },
    problems: [validationFailed],
  })
  showCosts(@Query({ schema: costsQuery }) query: CostsQuery) {
    return this.costs.by(query);
  }
}
