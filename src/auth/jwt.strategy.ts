import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import jwt from 'jsonwebtoken';
import { Strategy } from 'passport-jwt';
import {
  AccessTokens,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER,
  TOKEN_TYPE,
} from './access-tokens.js';
import { bearerTokenOf } from './bearer-token.js';
import { type VerifiedClaims, verifiedClaims } from './principals.js';

/** Verifies a Bearer token. Who is behind it, the guard finds: one of these serves all requests. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(tokens: AccessTokens) {
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
    });
  }

  /** Called with what the token says, once its signature was found to be right. */
  validate(payload: unknown): VerifiedClaims | false {
    const claims = verifiedClaims.safeParse(payload);
    return claims.success && claims.data;
  }
}
