import { raw } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Session } from './session.entity.js';
import { Sessions } from './sessions.service.js';

/** How many devices may stay signed in to one account; of more, those that were used last do. */
const MOST_SESSIONS = 100;
/** For how long sessions are kept that are over, in days: a token of theirs is then known as stolen. */
const KEPT_DAYS = 30;

/** What the worker does about sessions now and then. */
@Injectable()
export class SessionUpkeep {
  constructor(
    private readonly em: EntityManager,
    private readonly sessions: Sessions,
  ) {}

  /**
   * Ends sessions of accounts that have more than {@link MOST_SESSIONS}: somebody signs in again and
   * again, and keeps nothing.
   *
   * @returns how many
   */
  async endSurplus(): Promise<number> {
    const crowded = await this.em.execute<{ userId: string }[]>(
      `select user_id as "userId" from sessions where ended_at is null and expires_at > now()
       group by user_id having count(*) > ?`,
      [MOST_SESSIONS],
    );
    let ended = 0;
    for (const { userId } of crowded) {
      ended += await this.em.fork().transactional((em) => this.endOldest(em, userId));
    }
    return ended;
  }

  /** Forgets sessions that have been over for a while. @returns how many */
  async forgetEnded(): Promise<number> {
    const { affectedRows } = await this.em.execute<{ affectedRows: number }>(
      `delete from sessions
       where expires_at < now() - make_interval(days => ?)
          or ended_at < now() - make_interval(days => ?)`,
      [KEPT_DAYS, KEPT_DAYS],
      'run',
    );
    return affectedRows;
  }

  private async endOldest(em: EntityManager, userId: string): Promise<number> {
    const live = { user: userId, endedAt: null, expiresAt: { $gt: raw('now()') } };
    const surplus = await em.find(Session, live, {
      fields: ['id'],
      orderBy: { lastUsedAt: 'desc', id: 'desc' },
      offset: MOST_SESSIONS,
    });
    const ids = { id: { $in: surplus.map(({ id }) => id) } };
    return this.sessions.endMatching(em, userId, 'too-many', ids, { kind: 'system' });
  }
}
