import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { RowsById } from '../../core/database/rows-by-id.js';
import type { HeldSession } from '../sessions/sessions.service.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { presentStudio, presentUser } from '../users/user.schema.js';
import { Users } from '../users/users.service.js';
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
    private readonly users: Users,
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
    const [[worker], coins] = await Promise.all([
      this.studios.find(session.user.id),
      this.users.coinsOf(session.user),
    ]);
    return this.present(session, worker?.studio ?? null, coins);
  }

  /** {@link of} for who has looked up the studio. */
  async ofStudio(session: HeldSession, studio: JoinedStudio | null): Promise<SignIn> {
    return this.present(session, studio, await this.users.coinsOf(session.user));
  }

  private present(
    { user, sessionId, refreshToken }: HeldSession,
    studio: JoinedStudio | null,
    coins: number,
  ): SignIn {
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
      user: presentUser(user, coins),
      ...(studio && { studio: presentStudio(studio, studio.role) }),
    };
  }
}
