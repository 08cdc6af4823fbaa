import { Inject, Injectable } from '@nestjs/common';
import type { CryptoKey, JWTHeaderParameters, RemoteJWKSet } from 'jose';
import { z } from 'zod';
import { ENV, type Env } from '../../core/env.js';
import { Problem } from '../../core/problems/problem.js';
import { askGoogle, googleAway } from './google.client.js';
import { type GoogleIdentity, readIdentity } from './google-identity.js';
import { invalidIdToken } from './google.problems.js';

/** Google writes both: https://developers.google.com/identity/openid-connect/openid-connect */
const ISSUERS = ['https://accounts.google.com', 'accounts.google.com'];
/** Google's tokens are good for an hour. */
const MAX_AGE_SECONDS = 3_600;
/** How far Google's clock may be from ours, in seconds. */
const CLOCK_TOLERANCE_SECONDS = 60;
/** How old Google's keys may become here, in milliseconds: one that is revoked is gone by then. */
const KEYS_MAX_AGE_MS = 3_600_000;
/** After how long an unknown key has us ask again, in milliseconds; before, it is not Google's. */
const KEYS_COOLDOWN_MS = 30_000;

/** What is checked of the claims besides what jose does. */
const claimsSchema = z.looseObject({ aud: z.string(), nonce: z.string().optional() });

/** An ID token, and what Google is said to have been asked with for it. */
interface GivenToken {
  idToken: string;
  nonce?: string | undefined;
}

/** Reads the ID tokens that Google gives to apps. */
@Injectable()
export class IdTokens {
  private keys: RemoteJWKSet | undefined;

  constructor(@Inject(ENV) private readonly env: Env) {}

  /**
   * Who a token is about.
   *
   * @throws Problem `invalid-id-token`; `google-unavailable` when its key is not known, and Google
   * cannot be asked
   */
  async read({ idToken, nonce }: GivenToken): Promise<GoogleIdentity> {
    const payload = await this.verify(idToken);
    const claims = claimsSchema.safeParse(payload);
    // One with a nonce was made for one sign-in of one app, which knows it.
    if (!claims.success || claims.data.nonce !== nonce) throw new Problem(invalidIdToken);
    const identity = readIdentity(payload);
    if (!identity) throw new Problem(invalidIdToken);
    return identity;
  }

  private async verify(idToken: string): Promise<object> {
    // Loaded when somebody first needs it: most servers start without.
    const jose = await import('jose');
    this.keys ??= jose.createRemoteJWKSet(new URL(this.env.GOOGLE_KEYS_URL), {
      cacheMaxAge: KEYS_MAX_AGE_MS,
      cooldownDuration: KEYS_COOLDOWN_MS,
      [jose.customFetch]: fetchKeys,
    });
    const { keys } = this;
    const { JWKSMultipleMatchingKeys, JWKSNoMatchingKey } = jose.errors;
    const keyOf = (header: JWTHeaderParameters): Promise<CryptoKey> =>
      keys(header).catch((error: unknown) => {
        const isNone = [JWKSMultipleMatchingKeys, JWKSNoMatchingKey, Problem].some(
          (kind) => error instanceof kind,
        );
        // What else there is, is no set of keys.
        throw isNone ? error : googleAway('Google does not tell its keys', 'no-keys');
      });
    try {
      const { payload } = await jose.jwtVerify(idToken, keyOf, {
        algorithms: ['RS256'],
        issuer: ISSUERS,
        audience: [this.env.GOOGLE_CLIENT_ID ?? '', ...this.env.GOOGLE_MOBILE_CLIENT_IDS],
        requiredClaims: ['sub', 'exp', 'iat'],
        maxTokenAge: MAX_AGE_SECONDS,
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
      });
      return payload;
    } catch (error) {
      if (error instanceof Problem) throw error;
      // jose tells what is wrong by the claims themselves, which are nobody's business.
      throw new Problem(invalidIdToken);
    }
  }
}

async function fetchKeys(url: string): Promise<Response> {
  const { status, text } = await askGoogle(url);
  return new Response(text, { status });
}
