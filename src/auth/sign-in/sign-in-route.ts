import { applyDecorators, Injectable, UseGuards } from '@nestjs/common';
import {
  ThrottlerGuard,
  type ThrottlerModuleOptions,
  type ThrottlerStorage,
} from '@nestjs/throttler';
import type { FastifyRequest } from 'fastify';
import type { Env } from '../../core/env.js';
import { Problems } from '../../core/openapi/openapi.js';
import { tooManyRequests } from '../../core/problems/problem.js';
import { Counters } from '../../core/rate-limits/counters.js';
import { RateLimits, tooMany, WINDOW_SECONDS } from '../../core/rate-limits/rate-limits.js';
import { networkOf } from '../../core/rate-limits/request-limits.js';

/** Counts the calls of all {@link SignInRoute}s by address, before they do anything. */
@Injectable()
export class SignInCallsGuard extends ThrottlerGuard {
  protected override headerPrefix = 'RateLimit';

  protected override getTracker(request: FastifyRequest): Promise<string> {
    return Promise.resolve(networkOf(request));
  }

  protected override throwThrottlingException(
    ...[, { limit, timeToBlockExpire }]: Parameters<ThrottlerGuard['throwThrottlingException']>
  ): Promise<void> {
    throw tooMany(limit, timeToBlockExpire);
  }
}

/** A route by which people sign in, or could try to: so many calls a minute are taken of one address. */
export function SignInRoute() {
  return applyDecorators(UseGuards(SignInCallsGuard), Problems(tooManyRequests));
}

/** How Nest's throttler counts those calls: of all routes as one, with our {@link Counters}. */
export function signInThrottling(
  env: Env,
  limits: RateLimits,
  counters: Counters,
): ThrottlerModuleOptions {
  return {
    throttlers: [{ limit: env.SIGN_IN_CALLS_PER_MINUTE, ttl: WINDOW_SECONDS * 1_000 }],
    skipIf: () => !limits.areOn,
    generateKey: (_context, address) => limits.keyOf('sign-in-calls', address),
    storage: storageOf(counters),
  };
}

/** The throttler's own blocks are of no use here: a window that is used up ends when it ends. */
function storageOf(counters: Counters): ThrottlerStorage {
  return {
    increment: async (key, ttlMs, limit) => {
      const { count, resetsInSeconds } = await counters.hit(key, ttlMs / 1_000);
      const timeToExpire = Math.ceil(resetsInSeconds);
      const isBlocked = count > limit;
      return { totalHits: count, timeToExpire, isBlocked, timeToBlockExpire: timeToExpire };
    },
  };
}
