import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import { Mail } from '../../mail/mail.service.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import type { Principal } from '../access/principal.js';
import { emailTaken } from '../auth.problems.js';
import { emailChangedMail, emailChangeMail } from '../mail/account-mail.texts.js';
import { AccountTokens } from '../mail/account-tokens.js';
import { OwnerCheck } from '../passwords/owner-check.js';
import { User } from '../users/user.entity.js';
import { lockUnchangedUser } from '../users/user-lock.js';
import type { ChangeEmail } from './recovery.schema.js';

/** Another address for an account, once it is proved. */
@Injectable()
export class EmailChange {
  constructor(
    private readonly em: EntityManager,
    private readonly mail: Mail,
    private readonly tokens: AccountTokens,
    private readonly ownerCheck: OwnerCheck,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Has a token sent to the new address. One that is taken is sent nothing, nor is any when enough were
   * sent of late, and who asked is not told.
   *
   * @throws Problem `mail-not-configured`, `too-many-requests`, or why it is not the owner who asks
   */
  async request(principal: Principal, { email, password }: ChangeEmail): Promise<void> {
    const { userId } = principal;
    this.mail.requireConfigured();
    const owner = await this.em.findOneOrFail(User, { id: userId });
    await this.ownerCheck.require(principal, owner, { password, refused: 'email.change-refused' });
    const mail = await this.em.transactional(async (em) => {
      const user = await lockUnchangedUser(em, owner, LockMode.PESSIMISTIC_WRITE);
      if (await this.tokens.areEnough(em, user, 'change-email')) return undefined;
      const added = this.mail.add(em, emailChangeMail, { recipient: email, data: { userId } });
      this.tokens.issue(em, added, { user, purpose: 'change-email' });
      this.audit.add(em, {
        actor: { kind: 'user', id: userId },
        action: 'email.change-requested',
        target: { type: 'user', id: userId },
        after: { email },
      });
      return added;
    });
    if (mail) await this.mail.handOver(mail);
  }

  /**
   * Changes the address, and says so to the old one. The token proves that somebody reads mail at the
   * new one, and who is signed in that it is them who wanted it.
   *
   * @throws Problem `invalid-token`; `email-taken` when somebody else was first
   */
  async confirm({ userId }: Principal, token: string): Promise<void> {
    try {
      const notice = await this.em.transactional((em) => this.change(em, userId, token));
      if (notice) await this.mail.handOver(notice);
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) {
        throw new Problem(emailTaken, undefined, { cause: error });
      }
      throw error;
    }
  }

  private async change(
    em: EntityManager,
    userId: string,
    token: string,
  ): Promise<OutgoingMail | undefined> {
    const { user, email } = await this.tokens.useOwn(em, 'change-email', { token, userId });
    const { email: former } = user;
    user.email = email;
    user.emailVerifiedAt = new Date();
    await this.tokens.revokeAll(em, user);
    this.audit.add(em, {
      actor: { kind: 'user', id: userId },
      action: 'email.changed',
      target: { type: 'user', id: userId },
      before: { email: former },
      after: { email },
    });
    if (!this.mail.isConfigured) return undefined;
    return this.mail.add(em, emailChangedMail, { recipient: former, data: { userId } });
  }
}
