import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { PersonalData } from '../../core/personal-data/personal-data.js';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import { administratorAccount } from '../auth.problems.js';
import { User } from '../users/user.entity.js';
import { StudioLeave } from './studio-leave.js';

/** For how long after an erasure it is repeated, in minutes: longer than any request goes on. */
const REPEATED_FOR_MINUTES = 60;

/**
 * Erases people. The row of the account stays as a tombstone, so that what has to be kept can go on
 * pointing to it.
 */
@Injectable()
export class AccountErasure {
  constructor(
    private readonly em: EntityManager,
    private readonly personalData: PersonalData,
    private readonly studios: StudioLeave,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Erases an account and all that is held on its owner, or nothing.
   *
   * @param user as it was when its owner was asked for the password
   * @throws Problem `administrator-account`, `sole-owner`; `unauthenticated` when the account was
   *   erased or disabled, or its password changed, since
   */
  async erase({ id, passwordHash }: User): Promise<void> {
    const after = await this.em.fork().transactional(async (em) => {
      const user = await this.lock(em, id, passwordHash ?? null);
      if (user.isAdmin) throw new Problem(administratorAccount);
      const emptied = await this.studios.leave(em, id);
      await this.note(em, id);
      const rest = await this.personalData.erase(em, user);
      await this.studios.delete(em, emptied);
      user.erase();
      return rest;
    });
    await after();
  }

  /**
   * Erases once more what requests and jobs wrote that had begun before: it cannot be much, and nothing
   * that leads anybody in.
   *
   * @returns how many accounts were looked at
   */
  async repeat(): Promise<number> {
    const erased = await this.em
      .fork()
      .execute<{ id: string }[]>(
        `select id from users where erased_at > now() - make_interval(mins => ?)`,
        [REPEATED_FOR_MINUTES],
      );
    for (const { id } of erased) await (await this.eraseAgain(id))();
    return erased.length;
  }

  private eraseAgain(id: string): Promise<() => Promise<void>> {
    return this.em.fork().transactional((em) => this.personalData.erase(em, { id, email: null }));
  }

  /**
   * What is written for an account locks it, too. Not as strictly as an update does: rows that merely
   * point to it may come while this goes on, so that no two wait for each other.
   */
  private async lock(em: EntityManager, id: string, passwordHash: string | null): Promise<User> {
    const locked = await em.execute(
      `select 1 from users
       where id = ? and disabled_at is null and password_hash is not distinct from ?
       for no key update`,
      [id, passwordHash],
    );
    if (locked.length === 0) throw new Problem(unauthenticated);
    return em.findOneOrFail(User, { id });
  }

  /** Before anything is erased, so that where the request came from is erased with the rest. */
  private async note(em: EntityManager, id: string): Promise<void> {
    this.audit.add(em, {
      actor: { kind: 'user', id },
      action: 'account.erased',
      target: { type: 'user', id },
    });
    await em.flush();
  }
}
