import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { Capabilities } from '../core/process/capabilities.js';
import { Operation } from '../core/openapi/openapi.js';
import { unavailable } from '../core/problems/problem.js';
import { Public } from '../core/http/public.js';
import { Health } from './health.service.js';

const liveSchema = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });

const readySchema = z
  .object({ status: z.literal('ok'), checks: z.record(z.string(), z.enum(['ok', 'unavailable'])) })
  .meta({ id: 'Readiness' });

const capabilitiesSchema = z
  .object({
    capabilities: z.array(
      z.object({
        part: z.string(),
        driver: z.string(),
        embedded: z.boolean().describe('True for the default that needs nothing installed.'),
      }),
    ),
  })
  .meta({ id: 'Capabilities' });

/** What probes and operators ask. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: Health,
    private readonly capabilities: Capabilities,
  ) {}

  @Get()
  @Public()
  @Operation({
    summary: 'Whether the process lives',
    answers: { 200: { description: 'It does', schema: liveSchema } },
  })
  live() {
    return this.health.live();
  }

  @Get('ready')
  @Public()
  @Operation({
    summary: 'Whether the process can serve requests now',
    answers: {
      200: { description: 'Every part that it cannot do without is there', schema: readySchema },
    },
    problems: [unavailable],
  })
  ready() {
    return this.health.ready();
  }

  @Get('capabilities')
  @Public()
  @Operation({
    summary: 'Which driver each part uses',
    answers: { 200: { description: 'The parts of the product', schema: capabilitiesSchema } },
  })
  listCapabilities() {
    return { capabilities: this.capabilities.list() };
  }
}
