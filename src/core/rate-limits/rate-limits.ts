import { createHmac, type KeyObject } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../env.js';
import { Problem, tooManyRequests } from '../problems/problem.js';
import { purposeKey } from '../purpose-key.js';
import { Counters } from './counters.js';

/** The window of all limits. */
export const WINDOW_SECONDS = 60;

/** How often something may happen within a minute. */
export interface RateLimit {
  /** What is counted, in kebab-case. */
  readonly name: string;
  readonly perMinute: number;
}

/**
 * Limits that are exact, and shared by all replicas. Whom something is counted of, an address or the
 * like, is kept as a keyed hash alone: nobody could tell it, or find out by trying.
 */
@Injectable()
export class RateLimits {
  readonly areOn: boolean;
  private readonly hashKey: KeyObject;

  constructor(
    private readonly counters: Counters,
    @Inject(ENV) env: Env,
  ) {
    this.areOn = env.RATE_LIMITS === 'on';
    this.hashKey = purposeKey(env.APP_SECRET, 'rate limits');
  }

  /** Counts one more. @throws Problem `too-many-requests` when that is more than the limit */
  async count(limit: RateLimit, whom: string): Promise<void> {
    if (this.areOn) await this.hit(limit, this.keyOf(limit.name, whom));
  }

  /**
   * Has somebody try what few may guess, and counts it when it was wrong. The count is looked at before
   * and once more afterwards: of many guesses that come at once, none is told that it was right when the
   * others were wrong too often.
   *
   * @throws Problem `too-many-requests` when too many were wrong: then this one tells nothing
   */
  async try<Outcome extends { readonly isRight: boolean }>(
    limit: RateLimit,
    whom: string,
    attempt: () => Promise<Outcome>,
  ): Promise<Outcome> {
    if (!this.areOn) return attempt();
    const key = this.keyOf(limit.name, whom);
    await this.requireLeft(limit, key);
    const outcome = await attempt();
    await (outcome.isRight ? this.requireLeft(limit, key) : this.hit(limit, key));
    return outcome;
  }

  private async hit({ perMinute }: RateLimit, key: string): Promise<void> {
    const tally = await this.counters.hit(key, WINDOW_SECONDS);
    if (tally.count > perMinute) throw tooMany(perMinute, tally.resetsInSeconds);
  }

  private async requireLeft({ perMinute }: RateLimit, key: string): Promise<void> {
    const tally = await this.counters.look(key);
    if (tally.count >= perMinute) throw tooMany(perMinute, tally.resetsInSeconds);
  }

  /** What somebody is counted under. */
  keyOf(name: string, whom: string): string {
    return `${name}:${createHmac('sha256', this.hashKey).update(whom).digest('base64url')}`;
  }
}

/** The refusal of what is beyond a limit. */
export function tooMany(limit: number, resetsInSeconds: number): Problem {
  const seconds = Math.max(1, Math.ceil(resetsInSeconds));
  return new Problem(tooManyRequests, `${limit} are taken within a minute.`, {
    headers: { 'retry-after': String(seconds), ...limitHeaders(limit, 0, seconds) },
  });
}

/** draft-ietf-httpapi-ratelimit-headers-07: the three that clients know; later drafts have others. */
function limitHeaders(limit: number, remaining: number, seconds: number): Record<string, string> {
  return {
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(seconds),
  };
}
