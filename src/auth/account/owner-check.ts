import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Problem } from '../../core/problems/problem.js';
import type { Principal } from '../access/principal.js';
import { signInAgain } from '../auth.problems.js';
import { PasswordCheck } from '../passwords/password-check.js';
import type { User } from '../users/user.entity.js';

/** How old a sign-in may be that stands in for a password, in minutes: the help of `sign-in-again` says so. */
const RECENT_MINUTES = 15;

/** Whether it is the owner of the account who asks, and not whoever found a phone unlocked. */
@Injectable()
export class OwnerCheck {
  constructor(
    private readonly em: EntityManager,
    private readonly password: PasswordCheck,
  ) {}

  /**
   * Asks for the password, or of an account that has none, for a session that was begun just now.
   *
   * @param refused what the audit calls it when the password is wrong
   * @throws Problem `wrong-password`, `too-many-requests`, `sign-in-again`
   */
  async require(
    { sessionId }: Principal,
    user: User,
    { password, refused }: { password: string | undefined; refused: string },
  ): Promise<void> {
    if (user.hasPassword) return this.password.require(user, password, refused);
    const recent = await this.em.execute(
      `select 1 from sessions
       where id = ? and created_at > now() - make_interval(mins => ${RECENT_MINUTES})`,
      [sessionId],
    );
    if (recent.length === 0) throw new Problem(signInAgain);
  }
}
