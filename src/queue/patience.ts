import { setTimeout as delay } from 'node:timers/promises';
import { isUnavailable } from '../core/problems/unavailable.js';
import { backoff, type RetryPolicy } from './job.js';

const RESTS: RetryPolicy = { attempts: Infinity, backoffMs: 250, maxBackoffMs: 4_000 };

/** How a step of an attempt waits for what it needs. */
export interface Patience {
  /** For how long, in milliseconds. */
  readonly forMs: number;
  /** The attempt's. */
  readonly signal: AbortSignal;
  /** Hears of each failure that is waited for. */
  readonly onRest: (error: unknown, restMs: number) => void;
}

/**
 * Tries a step of an attempt again while a part that it needs is away: an attempt that failed for that
 * would do all of its work again, and what a model has made costs money.
 *
 * @throws what the step throws in the end; the signal's reason when that is aborted
 */
export async function patiently<T>(
  step: () => Promise<T>,
  { forMs, signal, onRest }: Patience,
): Promise<T> {
  const giveUpAt = performance.now() + forMs;
  for (let tries = 1; ; tries += 1) {
    try {
      return await step();
    } catch (error) {
      signal.throwIfAborted();
      const restMs = backoff(RESTS, tries);
      if (!isUnavailable(error) || performance.now() + restMs > giveUpAt) throw error;
      onRest(error, restMs);
      await delay(restMs, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }
}
