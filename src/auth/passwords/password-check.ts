import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import { wrongPassword } from '../auth.problems.js';
import { SignInAttempts } from '../sign-in/sign-in-attempts.js';
import type { User } from '../users/user.entity.js';
import { Passwords } from './passwords.js';

/** Asks for the password again where a session that somebody else has got hold of is not enough. */
@Injectable()
export class PasswordCheck {
  constructor(
    private readonly passwords: Passwords,
    private readonly attempts: SignInAttempts,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Asks nothing of an account that has no password.
   *
   * @param action what the audit is told when it is refused: `email.change-refused`, …
   * @throws Problem `wrong-password`, or `too-many-requests` as for signing in
   */
  async require(user: User, password: string | undefined, action: string): Promise<void> {
    if (!user.hasPassword) return;
    // Who sends none does not guess.
    if (password === undefined) throw new Problem(wrongPassword);
    await this.attempts.requireLeft(user.email);
    if (await this.passwords.verify(user.passwordHash, password)) {
      await this.attempts.requireLeft(user.email);
      return;
    }
    await this.attempts.countFailure(user.email);
    await this.audit.record({
      actor: { kind: 'user', id: user.id },
      action,
      target: { type: 'user', id: user.id },
    });
    throw new Problem(wrongPassword);
  }
}
