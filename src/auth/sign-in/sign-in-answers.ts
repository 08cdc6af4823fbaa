import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { HeldSession } from '../sessions/sessions.service.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { StudioMember } from '../users/studio.entity.js';
import { presentStudio, presentUser } from '../users/user.schema.js';
import type { SignInAnswer } from './sign-in.schema.js';

/** A {@link SignInAnswer} that still has its refresh token, wherever that will be sent. */
export type SignIn = SignInAnswer & { refreshToken: string };

/** What whoever has signed in, in whatever way, is told. */
@Injectable()
export class SignInAnswers {
  constructor(
    private readonly em: EntityManager,
    private readonly tokens: AccessTokens,
  ) {}

  /** For a session that has begun or goes on; the token speaks for the studio joined first. */
  async of({ user, sessionId, refreshToken }: HeldSession): Promise<SignIn> {
    const membership = await this.em.findOne(
      StudioMember,
      { user },
      { populate: ['studio'], orderBy: { createdAt: 'asc', studio: 'asc' } },
    );
    return {
      accessToken: this.tokens.sign({
        sub: user.id,
        sid: sessionId,
        roles: user.roles,
        ...(membership && { studioId: membership.studio.id }),
      }),
      refreshToken,
      tokenType: 'Bearer',
      expiresIn: this.tokens.lifetimeSeconds,
      user: presentUser(user),
      ...(membership && { studio: presentStudio(membership.studio, membership.role) }),
    };
  }
}
