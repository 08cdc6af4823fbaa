import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { backoff, type RetryPolicy } from '../../queue/job.js';
import { refusalFor } from '../generation-refusals.js';
import type { ImageModel, Painting, PaintRequest } from '../models/image-model.js';
import { ModelUnavailable } from '../models/model-errors.js';
import { ModelRate } from './model-rate.js';

/** The rests between calls of a model that does not say when to come again. */
const RESTS: RetryPolicy = { attempts: Infinity, backoffMs: 500, maxBackoffMs: 16_000 };
/** What is added to the rest that a model wants, at most, in milliseconds: many were told the same. */
const JITTER_MS = 1_000;

/** Until when a model is asked. */
export interface Deadline {
  /** By `performance.now()`. */
  readonly at: number;
  /** Aborts then, with `timeout`, or when the attempt has to end. */
  readonly signal: AbortSignal;
}

/** Asks a model for pictures, again as long as there is hope. */
@Injectable()
export class ModelCalls {
  private readonly logger = new Logger(ModelCalls.name);

  constructor(private readonly rate: ModelRate) {}

  /**
   * One picture, which the rate has been asked for. A model that is busy or away is asked again after
   * the rest that it wants, or after one that doubles, unless the deadline comes before that.
   *
   * @throws JobRefusal when there will be none
   */
  async paint(model: ImageModel, request: PaintRequest, deadline: Deadline): Promise<Painting> {
    const { signal } = deadline;
    for (let calls = 1; ; calls += 1) {
      try {
        if (calls > 1) await this.rate.require(model.name);
        return await model.paint(request, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ModelUnavailable)) throw error;
        const restMs = restAfter(error, calls);
        this.logger.warn({ err: error, calls, restMs, msg: 'The model is busy or away' });
        if (performance.now() + restMs >= deadline.at) throw refusalFor(error.code, error);
        await delay(restMs, undefined, { signal }).catch(() => undefined);
        signal.throwIfAborted();
      }
    }
  }
}

/** In milliseconds. */
function restAfter({ retryAfterMs }: ModelUnavailable, calls: number): number {
  if (retryAfterMs === undefined) return backoff(RESTS, calls);
  return Math.round(retryAfterMs + Math.random() * JITTER_MS);
}
