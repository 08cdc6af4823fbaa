import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Mail } from '../../mail/mail.service.js';
import {
  type MailFacts,
  type MailRequest,
  type MailTemplate,
  MailTemplates,
} from '../../mail/mail-templates.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import { User } from '../users/user.entity.js';
import type { ByUser } from './account-mail.texts.js';

/**
 * Tells owners what was done to their account, where mail goes anywhere. Only at an address that is
 * proved to be theirs: else anyone could fill the mailbox of another.
 */
@Injectable()
export class AccountNotices {
  constructor(
    private readonly em: EntityManager,
    private readonly mail: Mail,
    private readonly templates: MailTemplates,
  ) {}

  /** Has notices written that need no more than the language of who reads them. */
  register(...templates: MailTemplate<ByUser, null>[]): void {
    for (const template of templates) {
      this.templates.register(template, (mail) => this.lookUp(mail));
    }
  }

  /** What each of them is written from, also those that need more; disabled accounts get none. */
  async lookUp({ data }: MailRequest<ByUser>): Promise<MailFacts<null> | undefined> {
    const user = await this.em.findOne(User, { id: data.userId, disabledAt: null });
    return user ? { language: user.language, facts: null } : undefined;
  }

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
