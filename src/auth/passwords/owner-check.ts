import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { ENV, type Env } from '../../core/env.js';
import { Problem, tooManyRequests, unavailable } from '../../core/problems/problem.js';
import { type RateLimit, RateLimits } from '../../core/rate-limits/rate-limits.js';
import type { Principal } from '../access/principal.js';
import { signInAgain, wrongPassword } from '../auth.problems.js';
import type { User } from '../users/user.entity.js';
import { Passwords } from './passwords.js';

/** How old a sign-in may be that stands in for a password, in minutes: the help of `sign-in-again` says so. */
const RECENT_MINUTES = 15;

/** What can go wrong wherever {@link OwnerCheck} is asked. */
export const OWNER_PROBLEMS = [signInAgain, tooManyRequests, unavailable, wrongPassword];

/** What somebody brings who is to show that the account is theirs. */
interface Proof {
  password: string | undefined;
  /** What the audit calls it when the password is wrong: `email.change-refused`, … */
  refused: string;
}

/** Whether it is the owner of the account who asks, and not whoever has got hold of a session. */
@Injectable()
export class OwnerCheck {
  /** Counted apart from sign-ins: a stranger who fails at those must not stand in the owner's way here. */
  private readonly failures: RateLimit;

  constructor(
    private readonly em: EntityManager,
    private readonly passwords: Passwords,
    private readonly limits: RateLimits,
    private readonly audit: AuditLog,
    @Inject(ENV) env: Env,
  ) {
    this.failures = { name: 'failed-owner-checks', perMinute: env.FAILED_SIGN_INS_PER_MINUTE };
  }

  /**
   * Asks for the password, or of an account that has none, for a session that was begun just now.
   *
   * @throws Problem `wrong-password`, `sign-in-again`, `unavailable`, `too-many-requests`
   */
  async require(
    { sessionId }: Pick<Principal, 'sessionId'>,
    user: User,
    { password, refused }: Proof,
  ): Promise<void> {
    if (!user.hasPassword) return this.requireRecent(sessionId);
    // Who sends none does not guess.
    if (password === undefined) throw new Problem(wrongPassword);
    const { isRight } = await this.limits.try(this.failures, user.id, async () => ({
      isRight: await this.passwords.verify(user.passwordHash, password),
    }));
    if (isRight) return;
    await this.audit.record({
      actor: { kind: 'user', id: user.id },
      action: refused,
      target: { type: 'user', id: user.id },
    });
    throw new Problem(wrongPassword);
  }

  private async requireRecent(sessionId: string): Promise<void> {
    const recent = await this.em.execute(
      `select 1 from sessions
       where id = ? and created_at > now() - make_interval(mins => ${RECENT_MINUTES})`,
      [sessionId],
    );
    if (recent.length === 0) throw new Problem(signInAgain);
  }
}
