import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { type RateLimit, RateLimits } from '../../core/rate-limits/rate-limits.js';

/** What anybody may ask for an account, without knowing anything of it but its address. */
type Call = 'registrations' | 'password-resets';

/**
 * How often signing in to one account may fail, and how often things are asked for it.
 * Accounts are told apart by their addresses, so that those that do not exist are limited as well.
 */
@Injectable()
export class SignInAttempts {
  private readonly failures: RateLimit;

  constructor(
    private readonly limits: RateLimits,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.failures = { name: 'failed-sign-ins', perMinute: env.FAILED_SIGN_INS_PER_MINUTE };
  }

  /** As {@link RateLimits.try}, for an account. */
  try<Outcome extends { readonly isRight: boolean }>(
    email: string,
    attempt: () => Promise<Outcome>,
  ): Promise<Outcome> {
    return this.limits.try(this.failures, email, attempt);
  }

  /** @throws Problem `too-many-requests` when the same was asked for too often */
  countCall(call: Call, email: string): Promise<void> {
    const limit = { name: call, perMinute: this.env.FAILED_SIGN_INS_PER_MINUTE };
    return this.limits.count(limit, email);
  }
}
