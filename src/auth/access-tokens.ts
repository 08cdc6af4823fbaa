import { createSecretKey, type KeyObject } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';
import { z } from 'zod';
import { ENV, type Env } from '../core/env.js';
import { ROLES } from './user.entity.js';

export const TOKEN_ALGORITHM = 'HS256';
export const TOKEN_ISSUER = 'atelier';
export const TOKEN_AUDIENCE = 'atelier-api';

/** The claims of an access token that are ours. */
export const accessClaims = z.object({
  sub: z.uuid(),
  roles: z.array(z.enum(ROLES)),
  studioId: z.uuid().optional(),
});

/** The header's `typ`: other tokens under the same key are no access tokens (RFC 9068). */
export const TOKEN_TYPE = 'at+jwt';

export type AccessClaims = z.output<typeof accessClaims>;

/** Signs access tokens. They are checked by the JWT strategy. */
@Injectable()
export class AccessTokens {
  /** A KeyObject: a string would be turned into one for every token. */
  readonly key: KeyObject;

  constructor(@Inject(ENV) private readonly env: Env) {
    this.key = createSecretKey(env.JWT_SECRET, 'utf8');
  }

  get lifetimeSeconds(): number {
    return this.env.ACCESS_TOKEN_SECONDS;
  }

  sign({ sub, ...claims }: AccessClaims): string {
    return jwt.sign(claims, this.key, {
      algorithm: TOKEN_ALGORITHM,
      header: { alg: TOKEN_ALGORITHM, typ: TOKEN_TYPE },
      subject: sub,
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
      expiresIn: this.lifetimeSeconds,
    });
  }
}
