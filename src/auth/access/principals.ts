import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import DataLoader from 'dataloader';
import { type CompiledQuery, sql } from 'kysely';
import { z } from 'zod';
import { prepare, runPrepared } from '../../core/database/prepared.js';
import type { Principal } from './principal.js';
import { accessClaims } from '../tokens/access-tokens.js';
import type { Role } from '../users/user.entity.js';

/** What a token must say once its signature is right; libraries let one pass that never expires. */
export const verifiedClaims = accessClaims.extend({ exp: z.int() });

export type VerifiedClaims = z.output<typeof verifiedClaims>;

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

/** The most sessions that one query asks for; those of more requests take several. */
const MAX_BATCH = 500;

/**
 * Who is behind a token. Its session and account are asked for with every request: one query for all
 * that come in the same turn of the event loop, begun after they have come, so that none of them is
 * told of old.
 */
@Injectable()
export class Principals {
  private readonly sessions = new DataLoader<string, LiveSession | undefined>(
    (ids) => this.findSessions(ids),
    { cache: false, maxBatchSize: MAX_BATCH, batchScheduleFn: setImmediate },
  );
  private statement:
    ((values: { ids: readonly string[] }) => CompiledQuery<LiveSession>) | undefined;

  constructor(private readonly em: EntityManager) {}

  /**
   * Roles come from the account: a role taken away is gone.
   *
   * @returns false when the session is over, or the account is disabled or gone
   */
  async find({ sub, sid, studioId }: VerifiedClaims): Promise<Principal | false> {
    const session = await this.sessions.load(sid);
    if (session?.userId !== sub) return false;
    const { roles } = session;
    return { userId: sub, sessionId: sid, roles, studioId: studioId ?? null };
  }

  /** @returns one for each id, in their order */
  private async findSessions(ids: readonly string[]): Promise<(LiveSession | undefined)[]> {
    const connection = this.em.getConnection();
    this.statement ??= prepare<{ ids: readonly string[] }, LiveSession>((valueOf) =>
      connection
        .getClient<SessionTables>()
        .selectFrom('sessions')
        .innerJoin('users', 'users.id', 'sessions.user_id')
        .select(['sessions.id', 'users.id as userId', sql<Role[]>`to_json(roles)`.as('roles')])
        .where(sql<boolean>`sessions.id = any (${valueOf('ids')}::uuid[])`)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', sql<Date>`now()`)
        .where('disabled_at', 'is', null),
    );
    const pool = await connection.getNativeClient();
    const rows = await runPrepared(pool, this.statement({ ids }));
    const sessions = new Map(rows.map((session) => [session.id, session]));
    return ids.map((id) => sessions.get(id));
  }
}
