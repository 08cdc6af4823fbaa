import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { RowsById } from '../../core/database/rows-by-id.js';
import type { HeldSession } from '../sessions/sessions.service.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { presentStudio, presentUser } from '../users/user.schema.js';
import { joinedStudio, type JoinedStudio } from './joined-studio.js';
import type { SignInAnswer } from './sign-in.schema.js';

/** A {@link SignInAnswer} that still has its refresh token, wherever that will be sent. */
export type SignIn = SignInAnswer & { refreshToken: string };

interface Worker {
  id: string;
  studio: JoinedStudio | null;
}

/** What whoever has signed in, in whatever way, is told. */
@Injectable()
export class SignInAnswers {
  private readonly studios: RowsById<unknown, Worker>;

  constructor(
    em: EntityManager,
    private readonly tokens: AccessTokens,
  ) {
    this.studios = new RowsById(em, {
      query: (database, ids) => {
        const statement = sql<Worker>`
          select worker.id, ${joinedStudio('worker.id')} as studio
          from unnest(${ids}::uuid[]) as worker (id)`;
        return { compile: () => statement.compile(database) };
      },
      idOf: ({ id }) => id,
    });
  }

  /** For a session that has begun or goes on; the token speaks for the studio joined first. */
  async of(session: HeldSession): Promise<SignIn> {
    const [worker] = await this.studios.find(session.user.id);
    return this.ofStudio(session, worker?.studio ?? null);
  }

  /** {@link of} for who has looked up the studio. */
  ofStudio({ user, sessionId, refreshToken }: HeldSession, studio: JoinedStudio | null): SignIn {
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
      ...(studio && { studio: presentStudio(studio, studio.role) }),
    };
  }
}
