import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { RowsById } from '../../core/database/rows-by-id.js';
import type { HeldSession } from '../sessions/sessions.service.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { presentStudio, presentUser, type StudioAnswer } from '../users/user.schema.js';
import type { SignInAnswer } from './sign-in.schema.js';

/** A {@link SignInAnswer} that still has its refresh token, wherever that will be sent. */
export type SignIn = SignInAnswer & { refreshToken: string };

/** The tables as the query sees them, with PostgreSQL's names. */
interface StudioTables {
  studios: { id: string; name: string; timezone: string; locale: string };
  studio_members: {
    studio_id: string;
    user_id: string;
    role: StudioAnswer['role'];
    created_at: Date;
  };
}

/** What whoever has signed in, in whatever way, is told. */
@Injectable()
export class SignInAnswers {
  /** Where somebody works, the studio joined first first. */
  private readonly studios: RowsById<StudioTables, StudioAnswer & { userId: string }>;

  constructor(
    em: EntityManager,
    private readonly tokens: AccessTokens,
  ) {
    this.studios = new RowsById(em, {
      query: (database, ids) =>
        database
          .selectFrom('studio_members')
          .innerJoin('studios', 'studios.id', 'studio_id')
          .select(['user_id as userId', 'studios.id', 'name', 'role', 'timezone', 'locale'])
          .where(sql<boolean>`user_id = any (${ids}::uuid[])`)
          .orderBy('studio_members.created_at')
          .orderBy('studio_id'),
      idOf: ({ userId }) => userId,
    });
  }

  /** For a session that has begun or goes on; the token speaks for the studio joined first. */
  async of(session: HeldSession): Promise<SignIn> {
    const [joined] = await this.studios.find(session.user.id);
    return this.for(session, joined && presentStudio(joined, joined.role));
  }

  /** {@link of} for who knows the studio. */
  for({ user, sessionId, refreshToken }: HeldSession, studio: StudioAnswer | undefined): SignIn {
    return {
      accessToken: this.tokens.sign({
        sub: user.id,
        sid: sessionId,
        roles: user.roles,
        ...(studio && { studioId: studio.id }),
      }),
      refreshToken,
      tokenType: 'Bearer',
      expiresIn: this.tokens.lifetimeSeconds,
      user: presentUser(user),
      ...(studio && { studio }),
    };
  }
}
