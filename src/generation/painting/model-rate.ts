import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { Counters } from '../../core/rate-limits/counters.js';
import { ModelUnavailable } from '../models/model-errors.js';

const WINDOW_SECONDS = 60;
/** So that not all who wait come back at the same moment, in milliseconds. */
const JITTER_MS = 1_000;

/** What is left to ask for, and for how long to rest before. */
interface Rest {
  pictures: number;
  restMs: number;
}

/** How many pictures a model is asked for in a minute, by all workers together: `GENERATION_RATE_PER_MINUTE`. */
@Injectable()
export class ModelRate {
  constructor(
    private readonly counters: Counters,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** Waits until so many pictures may be asked for. @throws the signal's reason when it is aborted first */
  async wait(model: string, pictures: number, signal: AbortSignal): Promise<void> {
    let { pictures: left, restMs } = await this.take(model, pictures);
    while (left > 0) {
      await delay(restMs, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
      ({ pictures: left, restMs } = await this.take(model, left));
    }
  }

  /** Lets one more be asked for. @throws ModelUnavailable `rate-limited` when the minute has had all of its own */
  async require(model: string): Promise<void> {
    const { pictures: left, restMs } = await this.take(model, 1);
    if (left > 0) throw new ModelUnavailable('rate-limited', 'Our own rate is used up', restMs);
  }

  /** Takes of the minute what it has left. */
  private async take(model: string, pictures: number): Promise<Rest> {
    const limit = this.env.GENERATION_RATE_PER_MINUTE;
    if (limit === undefined) return { pictures: 0, restMs: 0 };
    const hits = [{ key: `model-calls:${model}`, times: pictures }];
    const [{ count, resetsInSeconds } = { count: pictures, resetsInSeconds: 0 }] =
      await this.counters.hitAll(hits, WINDOW_SECONDS);
    const restMs = resetsInSeconds * 1_000 + Math.random() * JITTER_MS;
    return { pictures: Math.min(pictures, Math.max(0, count - limit)), restMs };
  }
}
