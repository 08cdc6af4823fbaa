import { Inject, Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';
import { z } from 'zod';
import { ENV, type Env } from '../../core/env.js';
import { ROLES } from '../users/user.entity.js';
import { SigningKeys } from './signing-keys.js';

export const TOKEN_ALGORITHM = 'HS256';
export const TOKEN_ISSUER = 'atelier';
export const TOKEN_AUDIENCE = 'atelier-api';

/** The claims of an access token that are ours. */
const accessClaims = z.object({
  sub: z.uuid(),
  /** The session that it belongs to, and ends with. */
  sid: z.uuid(),
  roles: z.array(z.enum(ROLES)),
  /** The studio that a request is about unless it names another one. */
  studioId: z.uuid().optional(),
});

/** What a token must say once its signature is right; libraries let one pass that never expires. */
export const verifiedClaims = accessClaims.extend({ exp: z.int() });

/** The header's `typ`: other tokens under the same key are no access tokens (RFC 9068). */
export const TOKEN_TYPE = 'at+jwt';

type AccessClaims = z.output<typeof accessClaims>;
export type VerifiedClaims = z.output<typeof verifiedClaims>;

/** Signs access tokens. They are checked by the JWT strategy. */
@Injectable()
export class AccessTokens {
  constructor(
    private readonly keys: SigningKeys,
    @Inject(ENV) private readonly env: Env,
  ) {}

  get lifetimeSeconds(): number {
    return this.env.ACCESS_TOKEN_SECONDS;
  }

  sign({ sub, ...claims }: AccessClaims): string {
    const { id, access } = this.keys.current;
    return jwt.sign(claims, access, {
      algorithm: TOKEN_ALGORITHM,
      header: { alg: TOKEN_ALGORITHM, typ: TOKEN_TYPE, kid: id },
      subject: sub,
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
      expiresIn: this.lifetimeSeconds,
    });
  }
}
