import { Body, Controller, Delete, Get, Headers, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { CurrentUser, type Principal } from '../auth/access/principal.js';
import { Costs } from '../coins/costs/costs.guard.js';
import {
  IdempotencyKeyHeader,
  idempotencyInProgress,
  idempotencyMismatch,
} from '../core/http/idempotency.js';
import { TakesWait, WaitSeconds } from '../core/http/wait.js';
import { ApiHeader } from '../core/openapi/openapi-decorators.js';
import { Operation } from '../core/openapi/openapi.js';
import { notFound, unsupportedMediaType, validationFailed } from '../core/problems/problem.js';
import { quotaExceeded } from '../images/images.problems.js';
import { GenerationEvents } from './generation-events.js';
import { generationOver, tooManyCancelled, tooManyStreams } from './generation.problems.js';
import { GenerationQueries } from './generation.queries.js';
import {
  generatedSchema,
  type Generate,
  generateSchema,
  generationPageSchema,
  generationParams,
  type GenerationQuery,
  generationQuery,
  generationSchema,
} from './generation.schema.js';
import { Generations } from './generations.service.js';
import { generationNotConfigured } from './models/models.problems.js';

const GENERATE_HEADERS = {
  location: 'The address of the generation.',
  'idempotency-replayed': '`true` when this is the first answer to the same request again.',
};

/** Has pictures made by a model, and tells how they come on. */
@Controller('api/v1')
export class GenerationsController {
  constructor(
    private readonly generations: Generations,
    private readonly queries: GenerationQueries,
    private readonly events: GenerationEvents,
  ) {}

  @Post('images/generate')
  @Costs('generation')
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Makes a repeat harmless.' })
  @TakesWait()
  @Operation({
    summary: 'Have pictures made by a model',
    description:
      'Its coins are held at once, and paid for each picture that comes; those for pictures that do ' +
      'not come are free again. The work is done after the answer, unless you ask to wait for it. ' +
      '503 `generation-not-configured` where the server has no model.',
    answers: {
      201: { description: 'It is over', schema: generatedSchema, headers: GENERATE_HEADERS },
      202: { description: 'It waits its turn', schema: generatedSchema, headers: GENERATE_HEADERS },
    },
    problems: [
      generationNotConfigured,
      idempotencyInProgress,
      idempotencyMismatch,
      quotaExceeded,
      tooManyCancelled,
      unsupportedMediaType,
      validationFailed,
    ],
  })
  async generate(
    @CurrentUser() user: Principal,
    @Body({ schema: generateSchema }) asked: Generate,
    @IdempotencyKeyHeader() idempotencyKey: string | undefined,
    @WaitSeconds() waitSeconds: number,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { idempotencyKey, waitSeconds };
    const { status, body, replayed } = await this.generations.request(user, asked, options);
    void reply.code(status).header('location', `/api/v1/generations/${body.generation.id}`);
    if (replayed) void reply.header('idempotency-replayed', 'true');
    return body;
  }

  @Get('generations')
  @Operation({
    summary: 'List your generations',
    answers: { 200: { description: 'A page of generations', schema: generationPageSchema } },
    problems: [validationFailed],
  })
  list(@CurrentUser() user: Principal, @Query({ schema: generationQuery }) query: GenerationQuery) {
    return this.queries.list(user, query);
  }

  @Get('generations/:id')
  @Operation({
    summary: 'Show a generation',
    answers: { 200: { description: 'The generation', schema: generationSchema } },
    problems: [notFound, validationFailed],
  })
  show(
    @CurrentUser() user: Principal,
    @Param({ schema: generationParams }) { id }: { id: string },
  ) {
    return this.queries.show(user, id);
  }

  @Delete('generations/:id')
  @Operation({
    summary: 'Cancel a generation',
    description: 'Its coins are free again. One that was cancelled before stays so.',
    answers: { 200: { description: 'It is cancelled', schema: generationSchema } },
    problems: [generationOver, notFound, validationFailed],
  })
  cancel(
    @CurrentUser() user: Principal,
    @Param({ schema: generationParams }) { id }: { id: string },
  ) {
    return this.generations.cancel(user, id);
  }

  @Get('generations/:id/events')
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'The id of the last event that you have.',
  })
  @Operation({
    summary: 'Follow a generation',
    description:
      'Server-sent events of the type `generation`, each with the generation as it is then, until it ' +
      'is over, or a minute has passed: then come again with the id of the last one, after `retry`. ' +
      'They need the access token, so browsers read them by `fetch`.',
    answers: {
      200: { description: 'The events', text: 'text/event-stream' },
      204: { description: 'It is over, and you have its last event: do not come again' },
    },
    problems: [notFound, tooManyStreams, validationFailed],
  })
  async follow(
    @CurrentUser() user: Principal,
    @Param({ schema: generationParams }) { id }: { id: string },
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const stream = await this.events.follow(user, id, revisionOf(lastEventId));
    if (!stream) {
      void reply.code(204);
      return undefined;
    }
    void reply.header('content-type', 'text/event-stream').header('x-accel-buffering', 'no');
    return stream;
  }
}

/** Whatever is not one of our ids is none: the client is told all. */
function revisionOf(lastEventId: string | undefined): number {
  return /^\d{1,9}$/.test(lastEventId ?? '') ? Number(lastEventId) : 0;
}
