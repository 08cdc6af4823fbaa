import { Injectable } from '@nestjs/common';
import { Problem, unavailable } from '../core/problems/problem.js';
import { Readiness } from '../core/process/readiness.js';
import { Shutdown } from '../core/process/shutdown.js';

/** What probes are told, in every process. */
@Injectable()
export class Health {
  constructor(
    private readonly readiness: Readiness,
    private readonly shutdown: Shutdown,
  ) {}

  live() {
    return { status: 'ok' as const };
  }

  /** @throws Problem `unavailable` naming what is not ready */
  async ready() {
    if (this.shutdown.begun) throw new Problem(unavailable, 'The process is shutting down.');
    const results = await this.readiness.run();
    const failed = results
      .filter(({ ok, isRequired }) => !ok && isRequired)
      .map(({ name }) => name);
    if (failed.length > 0) throw new Problem(unavailable, `Not ready: ${failed.join(', ')}.`);
    const checks = results.map(({ name, ok }) => [name, ok ? 'ok' : 'unavailable'] as const);
    return { status: 'ok' as const, checks: Object.fromEntries(checks) };
  }
}
