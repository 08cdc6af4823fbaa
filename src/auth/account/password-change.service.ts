import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import { Mail } from '../../mail/mail.service.js';
import type { Principal } from '../access/principal.js';
import { wrongPassword } from '../auth.problems.js';
import { Passwords } from '../passwords/passwords.js';
import { passwordChangedMail } from '../recovery/account-mail.texts.js';
import { AccountTokens } from '../recovery/account-tokens.js';
import { Sessions } from '../sessions/sessions.service.js';
import { type SignIn, SignInAnswers } from '../sign-in/sign-in-answers.js';
import { User } from '../users/user.entity.js';
import { lockUser } from '../users/user-lock.js';
import type { ChangePassword } from './account.schema.js';
import { OwnerCheck } from './owner-check.js';

/** Another password, by who is signed in. */
@Injectable()
export class PasswordChange {
  constructor(
    private readonly em: EntityManager,
    private readonly owner: OwnerCheck,
    private readonly passwords: Passwords,
    private readonly sessions: Sessions,
    private readonly tokens: AccountTokens,
    private readonly mail: Mail,
    private readonly answers: SignInAnswers,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Sets the password, and ends what was begun with the one before: all sessions and all tokens. Who
   * asked goes on with a session of their own.
   *
   * @throws Problem `wrong-password`, `sign-in-again`, `too-many-requests`
   */
  async change(
    principal: Principal,
    { currentPassword, newPassword }: Omit<ChangePassword, 'refreshIn'>,
  ): Promise<SignIn> {
    const user = await this.em.findOneOrFail(User, { id: principal.userId });
    const former = user.passwordHash;
    const refused = 'password.change-refused';
    await this.owner.require(principal, user, { password: currentPassword, refused });
    const passwordHash = await this.passwords.choose(newPassword, 'body.newPassword');
    const { session, notice } = await this.em.transactional((em) =>
      this.replace(em, user.id, { former, passwordHash }),
    );
    if (notice) await this.mail.handOver(notice);
    return this.answers.of(session);
  }

  /** @param former the hash that was checked: somebody may have changed it since */
  private async replace(
    em: EntityManager,
    userId: string,
    { former, passwordHash }: { former: User['passwordHash']; passwordHash: string },
  ) {
    const user = await lockUser(em, userId, LockMode.PESSIMISTIC_WRITE);
    if ((user.passwordHash ?? null) !== (former ?? null)) throw new Problem(wrongPassword);
    user.passwordHash = passwordHash;
    await this.tokens.revokeAll(em, user);
    await this.sessions.endAllIn(em, userId, 'password-changed');
    this.audit.add(em, {
      actor: { kind: 'user', id: userId },
      action: 'password.changed',
      target: { type: 'user', id: userId },
    });
    return { session: this.sessions.begin(em, user), notice: this.notify(em, user) };
  }

  /** Only to an address that is theirs: else anyone could fill the mailbox of another. */
  private notify(em: EntityManager, { id, email, emailVerifiedAt }: User) {
    if (emailVerifiedAt == null || !this.mail.isConfigured) return undefined;
    return this.mail.add(em, passwordChangedMail, { recipient: email, data: { userId: id } });
  }
}
