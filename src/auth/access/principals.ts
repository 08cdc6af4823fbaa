import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { RowsById } from '../../core/database/rows-by-id.js';
import type { VerifiedClaims } from '../tokens/access-tokens.js';
import type { Role } from '../users/user.entity.js';
import type { Principal } from './principal.js';

/** A session that lasts, of an account that may sign in. */
interface LiveSession {
  id: string;
  userId: string;
  roles: Role[];
}

/** The tables as the query sees them, with PostgreSQL's names. */
interface SessionTables {
  sessions: { id: string; user_id: string; ended_at: Date | null; expires_at: Date };
  users: { id: string; disabled_at: Date | null };
}

/** Who is behind a token. Its session and account are asked for with every request. */
@Injectable()
export class Principals {
  private readonly sessions: RowsById<SessionTables, LiveSession>;

  constructor(em: EntityManager) {
    this.sessions = new RowsById(em, {
      query: (database, ids) =>
        database
          .selectFrom('sessions')
          .innerJoin('users', 'users.id', 'sessions.user_id')
          .select(['sessions.id', 'users.id as userId', sql<Role[]>`to_json(roles)`.as('roles')])
          .where(sql<boolean>`sessions.id = any (${ids}::uuid[])`)
          .where('ended_at', 'is', null)
          .where('expires_at', '>', sql<Date>`now()`)
          .where('disabled_at', 'is', null),
      idOf: ({ id }) => id,
    });
  }

  /**
   * Roles come from the account: a role taken away is gone.
   *
   * @returns false when the session is over, or the account is disabled or gone
   */
  async find({ sub, sid, studioId }: VerifiedClaims): Promise<Principal | false> {
    const [session] = await this.sessions.find(sid);
    if (session?.userId !== sub) return false;
    const { roles } = session;
    return { userId: sub, sessionId: sid, roles, studioId: studioId ?? null };
  }

  /** Whether the sign-in of a request that was let in, and is still being answered, lasts. */
  async isSignedIn({
    userId,
    sessionId,
  }: Pick<Principal, 'userId' | 'sessionId'>): Promise<boolean> {
    const [session] = await this.sessions.find(sessionId);
    return session?.userId === userId;
  }
}
