import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import jwt from 'jsonwebtoken';
import type { FastifyRequest } from 'fastify';
import { Strategy } from 'passport-jwt';
import type { Principal } from './access.js';
import {
  AccessTokens,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER,
  TOKEN_TYPE,
} from './access-tokens.js';
import { bearerTokenOf } from './bearer-token.js';
import { Principals, verifiedClaims } from './principals.js';

/** Verifies a Bearer token and finds the principal behind it. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    tokens: AccessTokens,
    private readonly principals: Principals,
  ) {
    super({
      jwtFromRequest: bearerTokenOf as never,
      secretOrKeyProvider: (_request, token, done) => {
        const isAccessToken =
          jwt.decode(token as string, { complete: true })?.header.typ === TOKEN_TYPE;
        // The types lag behind: jsonwebtoken takes a KeyObject.
        if (isAccessToken) done(null, tokens.key as never);
        else done('not an access token');
      },
      algorithms: [TOKEN_ALGORITHM],
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
      passReqToCallback: true,
    });
  }

  /** Called with the verified claims. */
  async validate(request: FastifyRequest, payload: unknown): Promise<Principal | false> {
    const claims = verifiedClaims.safeParse(payload);
    if (!claims.success) return false;
    this.principals.verified.remember(bearerTokenOf(request) ?? '', claims.data);
    return this.principals.find(claims.data);
  }
}
