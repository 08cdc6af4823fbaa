import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import jwt from 'jsonwebtoken';
import { Strategy } from 'passport-jwt';
import {
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER,
  TOKEN_TYPE,
  type VerifiedClaims,
  verifiedClaims,
} from './access-tokens.js';
import { bearerTokenOf } from './bearer-token.js';
import { SigningKeys } from './signing-keys.js';

/** Verifies a Bearer token. Who is behind it, the guard finds: one of these serves all requests. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(keys: SigningKeys) {
    super({
      jwtFromRequest: bearerTokenOf as never,
      secretOrKeyProvider: (_request, token, done) => {
        const header = jwt.decode(token as string, { complete: true })?.header;
        const key = header?.typ === TOKEN_TYPE ? keys.find(header.kid) : undefined;
        // The types lag behind: jsonwebtoken takes a KeyObject.
        if (key) done(null, key.access as never);
        else done('not an access token of ours');
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
