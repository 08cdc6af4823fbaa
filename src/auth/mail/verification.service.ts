import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Mail } from '../../mail/mail.service.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import type { Principal } from '../access/principal.js';
import type { User } from '../users/user.entity.js';
import { lockUser } from '../users/user-lock.js';
import { verificationMail } from './account-mail.texts.js';
import { AccountTokens } from './account-tokens.js';

/** Whether an account's address is its owner's: who says so has had a mail there. */
@Injectable()
export class EmailVerification {
  constructor(
    private readonly em: EntityManager,
    private readonly mail: Mail,
    private readonly tokens: AccountTokens,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Asks for the proof with what an EntityManager is about to commit; the mail is to be handed over
   * afterwards.
   *
   * @returns undefined when no mail is sent here
   */
  ask(em: EntityManager, user: User): OutgoingMail | undefined {
    if (!this.mail.isConfigured) return undefined;
    const mail = this.mail.add(em, verificationMail, {
      recipient: user.email,
      data: { userId: user.id },
    });
    this.tokens.issue(em, mail, { user, purpose: 'verify-email' });
    this.audit.add(em, {
      actor: { kind: 'user', id: user.id },
      action: 'email.verification-requested',
      target: { type: 'user', id: user.id },
    });
    return mail;
  }

  /**
   * {@link ask} again, unless it is proved, or was asked for often enough of late.
   *
   * @throws Problem `mail-not-configured`
   */
  async askAgain(userId: string): Promise<void> {
    this.mail.requireConfigured();
    const mail = await this.em.transactional(async (em) => {
      const user = await lockUser(em, userId, LockMode.PESSIMISTIC_WRITE);
      if (user.emailVerifiedAt != null) return undefined;
      if (await this.tokens.areEnough(em, user, 'verify-email')) return undefined;
      return this.ask(em, user);
    });
    if (mail) await this.mail.handOver(mail);
  }

  /**
   * The token proves that somebody reads mail at the address, and who is signed in that the account is
   * theirs.
   *
   * @throws Problem `invalid-token`
   */
  async verify({ userId }: Principal, token: string): Promise<void> {
    await this.em.transactional(async (em) => {
      const { user } = await this.tokens.useOwn(em, 'verify-email', { token, userId });
      this.markVerified(em, user);
    });
  }

  /** Notes the proof in the transaction of `em`. */
  markVerified(em: EntityManager, user: User): void {
    if (user.emailVerifiedAt != null) return;
    user.emailVerifiedAt = new Date();
    this.audit.add(em, {
      actor: { kind: 'user', id: user.id },
      action: 'email.verified',
      target: { type: 'user', id: user.id },
    });
  }
}
