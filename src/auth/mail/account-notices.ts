import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Mail } from '../../mail/mail.service.js';
import type { MailTemplate } from '../../mail/mail-templates.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import type { User } from '../users/user.entity.js';
import type { ByUser } from './account-mail.texts.js';

/**
 * Tells owners what was done to their account, where mail goes anywhere. Only at an address that is
 * proved to be theirs: else anyone could fill the mailbox of another.
 */
@Injectable()
export class AccountNotices {
  constructor(private readonly mail: Mail) {}

  /** Adds a notice to what an EntityManager is about to commit; {@link handOver} it afterwards. */
  add(
    em: EntityManager,
    template: MailTemplate<ByUser, never>,
    { id: userId, email, emailVerifiedAt }: User,
  ): OutgoingMail | undefined {
    if (emailVerifiedAt == null || !this.mail.isConfigured) return undefined;
    return this.mail.add(em, template, { recipient: email, data: { userId } });
  }

  async handOver(notice: OutgoingMail | undefined): Promise<void> {
    if (notice) await this.mail.handOver(notice);
  }
}
