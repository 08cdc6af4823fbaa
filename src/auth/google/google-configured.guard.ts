import { type CanActivate, Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import type { Capability } from '../../core/process/capabilities.js';
import { Problem } from '../../core/problems/problem.js';
import { googleNotConfigured } from './google.problems.js';

type GoogleEnv = Pick<Env, 'GOOGLE_CLIENT_ID'>;

/** Refuses what needs Google on a server that has no client there, whatever the request says. */
@Injectable()
export class GoogleConfiguredGuard implements CanActivate {
  constructor(@Inject(ENV) private readonly env: GoogleEnv) {}

  /** @throws Problem `google-not-configured` */
  canActivate(): true {
    if (!isGoogleConfigured(this.env)) throw new Problem(googleNotConfigured);
    return true;
  }
}

/** What `GET /health/capabilities` tells of signing in. */
export function signInCapability(env: GoogleEnv): Capability {
  const isConfigured = isGoogleConfigured(env);
  return {
    part: 'sign-in',
    driver: isConfigured ? 'password+google' : 'password',
    embedded: !isConfigured,
  };
}

/** Its secret comes with it: half a configuration stops the start. */
function isGoogleConfigured({ GOOGLE_CLIENT_ID }: GoogleEnv): boolean {
  return GOOGLE_CLIENT_ID !== undefined;
}
