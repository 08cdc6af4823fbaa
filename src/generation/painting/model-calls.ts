import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { isUnavailable } from '../../core/problems/unavailable.js';
import { backoff, type RetryPolicy } from '../../queue/job.js';
import { refusalFor } from '../generation-refusals.js';
import type { ImageModel, Painting, PaintRequest } from '../models/image-model.js';
import { ModelUnavailable } from '../models/model-errors.js';
import { ModelSlots } from './model-slots.js';

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

  constructor(private readonly slots: ModelSlots) {}

  /**
   * One picture, which has its slot. A model that is busy or away is asked again in another one, after
   * the rest that it wants, or after one that doubles, unless the deadline comes before that.
   *
   * @throws JobRefusal when there will be none
   */
  async paint(model: ImageModel, request: PaintRequest, deadline: Deadline): Promise<Painting> {
    const { signal } = deadline;
    for (let calls = 1, last: Error | undefined; ; calls += 1) {
      try {
        if (last) await this.waitForSlot(model, deadline, last);
        return await model.paint(request, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Error) || !isUnavailable(error)) throw error;
        const restMs = restAfter(error, calls);
        this.logger.warn({ err: error, calls, restMs, msg: 'The model is busy or away' });
        // Until it has answered for itself again, the reason is the last that it gave.
        last = error instanceof ModelUnavailable ? error : (last ?? error);
        await rest(restMs, deadline, last);
      }
    }
  }

  private async waitForSlot({ name }: ImageModel, deadline: Deadline, last: Error): Promise<void> {
    const { waitMs } = await this.slots.take(name, 1);
    await rest(waitMs, deadline, last);
  }
}

/** In milliseconds. A model that asks for next to no rest is not asked again without any. */
function restAfter(error: Error, calls: number): number {
  const backoffMs = backoff(RESTS, calls);
  const retryAfterMs = error instanceof ModelUnavailable ? error.retryAfterMs : undefined;
  if (retryAfterMs === undefined) return backoffMs;
  return Math.round(Math.max(retryAfterMs, backoffMs) + Math.random() * JITTER_MS);
}

/** @throws JobRefusal for the last that was heard of the model, when the deadline comes first */
async function rest(milliseconds: number, { at, signal }: Deadline, last: Error): Promise<void> {
  if (performance.now() + milliseconds >= at) {
    throw refusalFor(last instanceof ModelUnavailable ? last.code : 'unavailable', last);
  }
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
  signal.throwIfAborted();
}
