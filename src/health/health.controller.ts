import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { Capabilities } from '../core/capabilities.js';
import { Operation } from '../core/openapi.js';
import { Problem, unavailable } from '../core/problem.js';
import { Public } from '../core/public.js';
import { Readiness } from '../core/readiness.js';
import { Shutdown } from '../core/shutdown.js';

const liveSchema = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });

const readySchema = z
  .object({ status: z.literal('ok'), checks: z.record(z.string(), z.literal('ok')) })
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
    private readonly readiness: Readiness,
    private readonly capabilities: Capabilities,
    private readonly shutdown: Shutdown,
  ) {}

  @Get()
  @Public()
  @Operation({
    summary: 'Whether the process lives',
    answers: { 200: { description: 'It does', schema: liveSchema } },
  })
  live() {
    return { status: 'ok' };
  }

  @Get('ready')
  @Public()
  @Operation({
    summary: 'Whether the process can serve requests now',
    answers: {
      200: { description: 'Every part that it needs can be reached', schema: readySchema },
    },
    problems: [unavailable],
  })
  async ready() {
    if (this.shutdown.begun) throw new Problem(unavailable, 'The process is shutting down.');
    const results = await this.readiness.run();
    const failed = results.filter(({ ok }) => !ok).map(({ name }) => name);
    if (failed.length > 0) throw new Problem(unavailable, `Not ready: ${failed.join(', ')}.`);
    return { status: 'ok', checks: Object.fromEntries(results.map(({ name }) => [name, 'ok'])) };
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
