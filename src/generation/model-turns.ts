import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { Admission } from '../core/admission.js';
import { ENV, type Env } from '../core/env.js';
import { Counters } from '../core/rate-limits/counters.js';

const WINDOW_SECONDS = 60;

/**
 * When a model may be asked: so many pictures at once by one process, `GENERATION_CONCURRENCY`, and so
 * many in a minute by all of them together, `GENERATION_RATE_PER_MINUTE`.
 */
@Injectable()
export class ModelTurns {
  private readonly places: Admission;

  constructor(
    private readonly counters: Counters,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.places = new Admission(env.GENERATION_CONCURRENCY, Infinity);
  }

  /**
   * Asks a model in its turn.
   *
   * @throws the signal's reason when it is aborted first
   */
  async take<T>(model: string, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    await this.places.enter(0, signal);
    try {
      await this.waitForRate(model, signal);
      return await ask();
    } finally {
      this.places.leave(0);
    }
  }

  private async waitForRate(model: string, signal: AbortSignal): Promise<void> {
    const limit = this.env.GENERATION_RATE_PER_MINUTE;
    if (limit === undefined) return;
    for (;;) {
      const tally = await this.counters.hit(`model-calls:${model}`, WINDOW_SECONDS);
      if (tally.count <= limit) return;
      await delay(tally.resetsInSeconds * 1_000, undefined, { signal });
    }
  }
}
