import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { JobRefusal } from '../queue/job-errors.js';
import { backoff, type RetryPolicy } from '../queue/job.js';
import { TIMED_OUT } from './generation.entity.js';
import { ModelTurns } from './model-turns.js';
import type { ImageModel, Painting, PaintRequest } from './models/image-model.js';
import { ModelUnavailable, type ModelUnavailableCode } from './models/model-errors.js';

/** The rests between calls of a model that does not say when to come again. */
const RESTS: RetryPolicy = { attempts: Infinity, backoffMs: 500, maxBackoffMs: 16_000 };

/** What clients are told; what the model said is for logs. */
const DETAILS: Record<ModelUnavailableCode, string> = {
  'rate-limited': 'The model had too much to do. Nothing was charged; try again later.',
  unavailable: 'The model could not be asked. Nothing was charged; try again later.',
  [TIMED_OUT]: 'The model took too long. Nothing was charged; try again later.',
};

/** Until when pictures are waited for. */
export interface Deadline {
  /** By `performance.now()`. */
  readonly at: number;
  /** Aborts then, with {@link timedOut}, or when the attempt has to end. */
  readonly signal: AbortSignal;
}

/** Asks a model for pictures, again as long as there is hope. */
@Injectable()
export class ModelCalls {
  private readonly logger = new Logger(ModelCalls.name);

  constructor(private readonly turns: ModelTurns) {}

  /**
   * One picture. A model that is busy or away is asked again after the rest that it wants, or after one
   * that doubles, unless the deadline comes before that.
   *
   * @throws JobRefusal when there will be none
   */
  async paint(model: ImageModel, request: PaintRequest, deadline: Deadline): Promise<Painting> {
    const { signal } = deadline;
    for (let calls = 1; ; calls += 1) {
      try {
        return await this.turns.take(model.name, signal, () => model.paint(request, signal));
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ModelUnavailable)) throw error;
        const restMs = error.retryAfterMs ?? backoff(RESTS, calls);
        this.logger.warn({ err: error, calls, restMs, msg: 'The model is busy or away' });
        if (performance.now() + restMs >= deadline.at) throw refusalFor(error.code, error);
        await delay(restMs, undefined, { signal }).catch(() => undefined);
        signal.throwIfAborted();
      }
    }
  }
}

/** How work ends that had its time. */
export function timedOut(): JobRefusal {
  return refusalFor(TIMED_OUT);
}

function refusalFor(code: ModelUnavailableCode, cause?: Error): JobRefusal {
  return new JobRefusal(code, DETAILS[code], { cause });
}
