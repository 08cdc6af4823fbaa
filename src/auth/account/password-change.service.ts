import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import type { Principal } from '../access/principal.js';
import { passwordChangedMail } from '../mail/account-mail.texts.js';
import { AccountNotices } from '../mail/account-notices.js';
import { AccountTokens } from '../mail/account-tokens.js';
import { Passwords } from '../passwords/passwords.js';
import { OwnerCheck } from '../passwords/owner-check.js';
import { Sessions } from '../sessions/sessions.service.js';
import { type SignIn, SignInAnswers } from '../sign-in/sign-in-answers.js';
import { User } from '../users/user.entity.js';
import { lockUnchangedUser } from '../users/user-lock.js';
import type { ChangePassword } from './account.schema.js';

/** Another password, by who is signed in. */
@Injectable()
export class PasswordChange {
  constructor(
    private readonly em: EntityManager,
    private readonly owner: OwnerCheck,
    private readonly passwords: Passwords,
    private readonly sessions: Sessions,
    private readonly tokens: AccountTokens,
    private readonly notices: AccountNotices,
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
    const refused = 'password.change-refused';
    await this.owner.require(principal, user, { password: currentPassword, refused });
    const passwordHash = await this.passwords.choose(newPassword, 'body.newPassword');
    const { session, notice } = await this.em.transactional((em) =>
      this.replace(em, user, passwordHash),
    );
    await this.notices.handOver(notice);
    return this.answers.of(session);
  }

  private async replace(em: EntityManager, checked: User, passwordHash: string) {
    const user = await lockUnchangedUser(em, checked, LockMode.PESSIMISTIC_WRITE);
    const { id } = user;
    user.passwordHash = passwordHash;
    await this.tokens.revokeAll(em, user);
    await this.sessions.endAllIn(em, id, 'password-changed');
    this.audit.add(em, {
      actor: { kind: 'user', id },
      action: 'password.changed',
      target: { type: 'user', id },
    });
    const notice = this.notices.add(em, passwordChangedMail, user);
    return { session: this.sessions.begin(em, user), notice };
  }
}
