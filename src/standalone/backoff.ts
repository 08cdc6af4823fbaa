import { setTimeout as delay } from 'node:timers/promises';

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 15_000;
const HEALTHY_AFTER_MS = 30_000;

/** How long to wait before starting something again: longer each time, until it ran for a while. */
export class Backoff {
  private failures = 0;
  private lastStart = Date.now();

  /** Waits. @returns false when the signal aborted meanwhile */
  async pause(aborted: AbortSignal): Promise<boolean> {
    if (Date.now() - this.lastStart > HEALTHY_AFTER_MS) this.failures = 0;
    const milliseconds = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.failures);
    this.failures += 1;
    const mayStart = await delay(milliseconds, true, { signal: aborted }).catch(() => false);
    this.lastStart = Date.now();
    return mayStart;
  }
}
