import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { EntityManager } from '@mikro-orm/postgresql';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { Principal } from './access.js';
import {
  accessClaims,
  AccessTokens,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_ISSUER,
} from './access-tokens.js';
import type { Role } from './user.entity.js';

/** Finds the principal behind a Bearer token. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    tokens: AccessTokens,
    private readonly em: EntityManager,
  ) {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKey: tokens.key as never, // The types lag behind: jsonwebtoken takes a KeyObject.
      algorithms: [TOKEN_ALGORITHM],
      issuer: TOKEN_ISSUER,
      audience: TOKEN_AUDIENCE,
    });
  }

  /** Called with the verified claims. Roles come from the account: a role taken away is gone. */
  async validate(payload: unknown): Promise<Principal | false> {
    const claims = accessClaims.safeParse(payload);
    if (!claims.success) return false;
    const { sub, studioId } = claims.data;
    const [account] = await this.em.execute<{ roles: Role[] }[]>(
      'select to_json(roles) as roles from users where id = ? and disabled_at is null',
      [sub],
    );
    return account ? { userId: sub, roles: account.roles, studioId: studioId ?? null } : false;
  }
}
