import { type FilterQuery, raw } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { type Actor, type AuditEvent, AuditLog } from '../../core/audit/audit-log.js';
import { findPage } from '../../core/database/entity-page.js';
import { ENV, type Env } from '../../core/env.js';
import type { Page } from '../../core/paging.js';
import { notFound, Problem } from '../../core/problems/problem.js';
import { currentClient } from '../../core/request-context.js';
import type { Principal } from '../access/principal.js';
import { invalidRefreshToken } from '../auth.problems.js';
import { type RefreshToken, RefreshTokens } from '../tokens/refresh-tokens.js';
import { User } from '../users/user.entity.js';
import { Session, type SessionEnd } from './session.entity.js';
import { presentSession, type SessionAnswer, type SessionQuery } from './session.schema.js';

/** For how long a token that was replaced may come again: its answer may have been lost on the way. */
const GRACE_SECONDS = 10;
const DAY_SECONDS = 86_400;
/** Of a session that lasts, and whose account may sign in. */
const LIVE = `(ended_at is null and expires_at > now() and exists (
  select 1 from users where users.id = user_id and disabled_at is null
))`;

/** A session as it goes on, and the token that it goes on with. */
export interface HeldSession {
  user: User;
  sessionId: string;
  refreshToken: string;
}

/** What is known of all sessions of an account. */
export interface SessionSummary {
  live: number;
  /** ISO 8601 in UTC; null when there is no session that is still remembered. */
  lastUsedAt: string | null;
}

/** What a refresh leads to. */
interface NextToken {
  token: RefreshToken;
  userId: string;
}

/** What a refresh finds, by the database's clock. */
interface FoundSession {
  userId: string;
  tokenHash: string;
  isLive: boolean;
  isInGrace: boolean;
}

/**
 * Sign-ins by device. What is over is over at once: each request looks whether its session is.
 */
@Injectable()
export class Sessions {
  constructor(
    private readonly em: EntityManager,
    private readonly tokens: RefreshTokens,
    private readonly audit: AuditLog,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** Begins a session with what an EntityManager is about to commit. */
  begin(em: EntityManager, user: User): HeldSession {
    const { session, refreshToken, event } = this.draft(user);
    em.persist(session);
    this.audit.add(em, event);
    return { user, sessionId: session.id, refreshToken };
  }

  /** What {@link begin} adds, for who inserts it otherwise. */
  draft(user: User) {
    const id = Session.newId();
    const token = this.tokens.first(id);
    const client = currentClient();
    const session = new Session({
      id,
      user,
      tokenHash: token.hash,
      device: client?.userAgent ?? null,
      address: client?.address ?? null,
      expiresAt: new Date(Date.now() + this.lifetimeSeconds * 1_000),
    });
    const event: AuditEvent = {
      actor: { kind: 'user', id: user.id },
      action: 'session.begun',
      target: { type: 'session', id },
    };
    return { session, refreshToken: token.text, event };
  }

  /**
   * Takes a refresh token and gives its successor. Its predecessor may come again for ten seconds and
   * is told the same; whatever is older than that was stolen from somebody, and ends the session.
   *
   * @throws Problem `invalid-refresh-token`
   */
  async refresh(text: string): Promise<HeldSession> {
    const token = this.tokens.read(text);
    if (!token) throw new Problem(invalidRefreshToken);
    const next = (await this.rotate(token)) ?? (await this.repeat(token));
    const user = await this.em.findOneOrFail(User, { id: next.userId });
    return { user, sessionId: token.sessionId, refreshToken: next.token.text };
  }

  /** A page of the live sessions of who asks, the last used first. */
  async list(user: Principal, query: SessionQuery): Promise<Page<SessionAnswer>> {
    const page = await this.listOf(user.userId, query);
    return { ...page, items: page.items.map((session) => presentSession(session, user)) };
  }

  /** A page of the live sessions of an account, the last used first. */
  listOf(userId: string, query: SessionQuery): Promise<Page<Session>> {
    const live = { user: userId, endedAt: null, expiresAt: { $gt: new Date() } };
    return findPage(this.em, Session, 'lastUsedAt', live, query);
  }

  /** How many sessions of an account are live, and when it was signed in or refreshed last. */
  async summaryOf(userId: string): Promise<SessionSummary> {
    const [summary] = await this.em.execute<SessionSummary[]>(
      `select count(*) filter (where ${LIVE})::int as live,
              to_char(max(last_used_at) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "lastUsedAt"
       from sessions where user_id = ?`,
      [userId],
    );
    return summary ?? { live: 0, lastUsedAt: null };
  }

  /** Ends another device's session. @throws Problem `not-found` when the account has none like that */
  async end({ userId }: Principal, id: string): Promise<void> {
    const ended = await this.em.transactional((em) =>
      this.endMatching(em, userId, 'ended-by-owner', { id }),
    );
    if (ended === 0) throw new Problem(notFound);
  }

  /** Ends the session of a request. */
  async signOut({ userId, sessionId }: Principal): Promise<void> {
    await this.em.transactional((em) =>
      this.endMatching(em, userId, 'signed-out', { id: sessionId }),
    );
  }

  /** Ends the session that a refresh token belongs to, whether it is the newest one or not. */
  async signOutByToken(text: string): Promise<void> {
    const token = this.tokens.read(text);
    const found = token && (await this.look(token));
    if (!found) return;
    await this.em.transactional((em) =>
      this.endMatching(em, found.userId, 'signed-out', { id: token.sessionId }),
    );
  }

  /** Ends all sessions of an account. */
  async endAll(userId: string, because: SessionEnd): Promise<void> {
    await this.em.transactional((em) => this.endAllIn(em, userId, because));
  }

  /**
   * {@link endAll} with what else the caller's transaction does.
   *
   * @param actor who ends them, when it is not the account itself
   * @returns how many were ended
   */
  endAllIn(em: EntityManager, userId: string, because: SessionEnd, actor?: Actor): Promise<number> {
    return this.endMatching(em, userId, because, {}, actor);
  }

  /**
   * Ends live sessions of an account, those that match, with what else the caller's transaction does.
   *
   * @returns how many were ended
   */
  async endMatching(
    em: EntityManager,
    userId: string,
    because: SessionEnd,
    which: FilterQuery<Session>,
    actor: Actor = { kind: 'user', id: userId },
  ): Promise<number> {
    const ended = await em.nativeUpdate(
      Session,
      { $and: [{ user: userId, endedAt: null, expiresAt: { $gt: raw('now()') } }, which] },
      { endedAt: raw('now()'), endedBecause: because },
    );
    if (ended > 0) {
      this.audit.add(em, {
        // Who brought a token that was used before, we do not know.
        actor: because === 'token-reused' ? { kind: 'anonymous' } : actor,
        action: 'session.ended',
        target: { type: 'user', id: userId },
        after: { because, sessions: ended },
      });
    }
    return ended;
  }

  private get lifetimeSeconds(): number {
    return this.env.REFRESH_TOKEN_DAYS * DAY_SECONDS;
  }

  /** One statement: of many that bring the same token, one makes the successor. */
  private async rotate(token: RefreshToken): Promise<NextToken | undefined> {
    const next = this.tokens.successorOf(token);
    const address = currentClient()?.address ?? null;
    const [row] = await this.em.execute<{ user_id: string }[]>(
      `update sessions
       set token_hash = ?, rotated_at = now(), last_used_at = now(),
           expires_at = now() + make_interval(secs => ?), address = ?
       where id = ? and token_hash = ? and ${LIVE}
       returning user_id`,
      [next.hash, this.lifetimeSeconds, address, token.sessionId, token.hash],
    );
    return row && { token: next, userId: row.user_id };
  }

  /** What a token gets that is not the newest one. @throws Problem `invalid-refresh-token` */
  private async repeat(token: RefreshToken): Promise<NextToken> {
    const found = await this.look(token);
    if (!found?.isLive) throw new Problem(invalidRefreshToken);
    const next = this.tokens.successorWithHash(token, found.tokenHash);
    if (next && found.isInGrace) return { token: next, userId: found.userId };
    await this.em.transactional((em) =>
      this.endMatching(em, found.userId, 'token-reused', { id: token.sessionId }),
    );
    throw new Problem(invalidRefreshToken);
  }

  private async look({ sessionId }: RefreshToken): Promise<FoundSession | undefined> {
    const [found] = await this.em.execute<FoundSession[]>(
      `select user_id as "userId", token_hash as "tokenHash", ${LIVE} as "isLive",
              rotated_at > now() - make_interval(secs => ?) as "isInGrace"
       from sessions where id = ?`,
      [GRACE_SECONDS, sessionId],
    );
    return found;
  }
}
