import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentActor } from '../../auth/access/current-actor.js';
import { Roles } from '../../auth/access/roles.guard.js';
import type { Actor } from '../../core/audit/audit-log.js';
import { Operation } from '../../core/openapi/openapi.js';
import { notFound, unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import {
  bulkAnswerSchema,
  deadLetterParams,
  deadLetterQuery,
  type DeadLetterQuery,
  failedJobPageSchema,
  failedJobSchema,
  groupPageSchema,
  type Selection,
  selectionSchema,
} from './dead-letter.schema.js';
import { unknownJob } from './dead-letters.problems.js';
import { DeadLettersService } from './dead-letters.service.js';

/** Work that was given up: what it was, why, and what is to become of it. */
@Controller('api/v1/admin/failed-jobs')
@Roles('ADMIN')
export class DeadLettersController {
  constructor(private readonly letters: DeadLettersService) {}

  @Get()
  @Operation({
    summary: 'List work that was given up',
    description: 'Those that failed last come first.',
    answers: { 200: { description: 'A page of dead letters', schema: failedJobPageSchema } },
    problems: [validationFailed],
  })
  list(@Query({ schema: deadLetterQuery }) query: DeadLetterQuery) {
    return this.letters.list(query);
  }

  @Get('groups')
  @Operation({
    summary: 'List why work was given up',
    description: 'Dead letters by the cause of their last error, the latest cause first.',
    answers: { 200: { description: 'A page of causes', schema: groupPageSchema } },
    problems: [validationFailed],
  })
  groups(@Query({ schema: deadLetterQuery }) query: DeadLetterQuery) {
    return this.letters.groups(query);
  }

  @Post('retry')
  @HttpCode(200)
  @Operation({
    summary: 'Have much work tried again',
    description:
      'All that is FAILED and fits the filter. The work itself comes after the answer, in turn.',
    answers: { 200: { description: 'How many were retried', schema: bulkAnswerSchema } },
    problems: [unsupportedMediaType, validationFailed],
  })
  retryMatching(
    @CurrentActor() actor: Actor,
    @Body({ schema: selectionSchema }) selection: Selection,
  ) {
    return this.letters.retryMatching(actor, selection);
  }

  @Post('delete')
  @HttpCode(200)
  @Operation({
    summary: 'Delete many dead letters',
    answers: { 200: { description: 'How many were deleted', schema: bulkAnswerSchema } },
    problems: [unsupportedMediaType, validationFailed],
  })
  deleteMatching(
    @CurrentActor() actor: Actor,
    @Body({ schema: selectionSchema }) selection: Selection,
  ) {
    return this.letters.deleteMatching(actor, selection);
  }

  @Get(':id')
  @Operation({
    summary: 'Show a dead letter',
    answers: { 200: { description: 'The dead letter', schema: failedJobSchema } },
    problems: [notFound, validationFailed],
  })
  show(@Param({ schema: deadLetterParams }) { id }: { id: string }) {
    return this.letters.show(id);
  }

  @Post(':id/retry')
  @HttpCode(202)
  @Operation({
    summary: 'Have the work tried again',
    description:
      'However often it is asked for, FAILED work is tried once. What is RETRYING or RESOLVED ' +
      'stays as it is, and work that nobody can want any more is RESOLVED without being tried.',
    answers: { 202: { description: 'The dead letter as it is now', schema: failedJobSchema } },
    problems: [notFound, unknownJob, validationFailed],
  })
  retry(@CurrentActor() actor: Actor, @Param({ schema: deadLetterParams }) { id }: { id: string }) {
    return this.letters.retry(actor, id);
  }

  @Delete(':id')
  @HttpCode(204)
  @Operation({
    summary: 'Delete a dead letter',
    description:
      'Work that is being tried again goes on, and leaves a new dead letter when it fails.',
    answers: { 204: { description: 'Deleted' } },
    problems: [notFound, validationFailed],
  })
  delete(
    @CurrentActor() actor: Actor,
    @Param({ schema: deadLetterParams }) { id }: { id: string },
  ) {
    return this.letters.delete(actor, id);
  }
}
