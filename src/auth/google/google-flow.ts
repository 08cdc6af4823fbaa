import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { Problem } from '../../core/problems/problem.js';
import { type FlowPurpose, type FlowState, FlowStates, isStateOf } from './flow-states.js';
import { googleAway } from './google.client.js';
import { type GoogleIdentity, readIdentity } from './google-identity.js';
import { googleDenied, invalidGoogleCode, invalidState } from './google.problems.js';
import type { GoogleCallback } from './google.schema.js';
import type { FlowLeg, GoogleStrategy } from './google-strategy.js';

/** What a leg leads to: on to Google, or back with what Google says. */
type Outcome = { readonly url: string } | { readonly told: unknown };

/** The way of a browser to Google and back. */
@Injectable()
export class GoogleFlow {
  private strategy: Promise<GoogleStrategy> | undefined;

  constructor(
    private readonly states: FlowStates,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** @returns where the browser goes, and what it keeps until it is back */
  async begin(purpose: FlowPurpose): Promise<{ url: string; kept: FlowState }> {
    const leg: FlowLeg = { query: {}, purpose };
    const outcome = await this.walk(leg);
    if (!('url' in outcome) || !leg.kept) throw new Error('The way to Google leads nowhere');
    return { url: outcome.url, kept: leg.kept };
  }

  /**
   * Asks Google who has come back.
   *
   * @throws Problem `invalid-state`, `google-denied`, `invalid-google-code`, `google-unavailable`
   */
  async finish({ code, state, error }: GoogleCallback, kept: FlowState): Promise<GoogleIdentity> {
    // Before what else the address says: anybody can have written it.
    if (state === undefined || !isStateOf(kept, state)) throw new Problem(invalidState);
    if (error !== undefined) throw refusalOf(error);
    if (code === undefined || code === '') throw new Problem(invalidGoogleCode);
    const outcome = await this.walk({ query: { code, state }, kept }).catch((failure: unknown) => {
      throw problemOf(failure);
    });
    const identity = 'told' in outcome ? readIdentity(outcome.told) : undefined;
    if (!identity) throw googleAway('Google does not tell who somebody is', 'no-sub');
    return identity;
  }

  /**
   * Has the strategy do one leg, as passport's middleware would: on an object of its own with an end
   * for each outcome. The middleware itself is for Express: it writes to the answer, and keeps its
   * strategies for the whole process.
   */
  private async walk(leg: FlowLeg): Promise<Outcome> {
    const strategy = await this.load();
    return new Promise((resolve, reject) => {
      const walker = Object.assign(Object.create(strategy) as GoogleStrategy, {
        redirect: (url: string) => {
          resolve({ url });
        },
        success: (told: unknown) => {
          resolve({ told });
        },
        fail: () => {
          reject(new Problem(invalidState));
        },
        error: reject,
      });
      walker.authenticate(leg as never);
    });
  }

  /** When somebody first goes this way: most servers start without. */
  private load(): Promise<GoogleStrategy> {
    this.strategy ??= import('./google-strategy.js').then(
      (module) => new module.GoogleStrategy(this.env, this.states),
    );
    return this.strategy;
  }
}

/** Why there is no code: RFC 6749 section 4.1.2.1, and codes of Google's own. */
function refusalOf(error: string): Problem {
  const isFault = error === 'server_error' || error === 'temporarily_unavailable';
  return isFault ? googleAway('Google sends people back', error) : new Problem(googleDenied);
}

/** What a failed leg is to the client. Google's own words are repeated nowhere. */
function problemOf(failure: unknown): Problem {
  if (failure instanceof Problem) return failure;
  const { name, code, oauthError } = failure as {
    name?: string;
    code?: unknown;
    oauthError?: unknown;
  };
  if (name === 'TokenError' && code === 'invalid_grant') return new Problem(invalidGoogleCode);
  // Of a request that had no answer.
  if (oauthError instanceof Problem) return oauthError;
  const known = typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : 'unknown';
  return googleAway('Google refuses, or answers what cannot be read', known);
}
