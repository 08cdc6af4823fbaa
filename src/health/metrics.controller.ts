import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ENV, type Env } from '../core/env.js';
import { Metrics } from '../core/metrics/metrics.js';
import { metricsClosed, requireMetricsAccess } from '../core/metrics/metrics-access.js';
import { Operation } from '../core/openapi/openapi.js';
import { Public } from '../core/http/public.js';

/** What Prometheus asks of the API; docs/operate.md explains each metric. */
@Controller('metrics')
export class MetricsController {
  constructor(
    private readonly metrics: Metrics,
    @Inject(ENV) private readonly env: Env,
  ) {}

  @Get()
  @Public()
  @Operation({
    summary: 'What the process has measured, for Prometheus',
    description:
      'Open to requests that come straight from the machine itself, and to others with ' +
      '`Authorization: Bearer` and the METRICS_TOKEN of the operator.',
    answers: { 200: { description: "Prometheus' text format", binary: 'text/plain' } },
    problems: [metricsClosed],
  })
  async show(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    requireMetricsAccess(request.raw, this.env.METRICS_TOKEN);
    const text = await this.metrics.text();
    await reply.type(this.metrics.contentType).send(text);
  }
}
