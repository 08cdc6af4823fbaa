import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { ENV, type Env } from '../../core/env.js';
import { type MailFacts, type MailRequest, MailTemplates } from '../../mail/mail-templates.js';
import { User } from '../users/user.entity.js';
import {
  type ByAddress,
  type ByUser,
  emailChangedMail,
  emailChangeMail,
  type LinkFacts,
  passwordChangedMail,
  passwordResetMail,
  verificationMail,
} from './account-mail.texts.js';
import { AccountNotices } from './account-notices.js';
import { AccountToken, type TokenPurpose } from './account-token.entity.js';
import { AccountTokens } from './account-tokens.js';

/** The pages of the app that find a token in their fragment, which no server is told. */
const PAGES: Record<TokenPurpose, string> = {
  'verify-email': '/verify-email',
  'reset-password': '/reset-password',
  'change-email': '/confirm-email',
};

/** What the mails about an account are written from; disabled accounts get none. */
@Injectable()
export class AccountMails implements OnModuleInit {
  constructor(
    private readonly em: EntityManager,
    private readonly templates: MailTemplates,
    private readonly notices: AccountNotices,
    private readonly tokens: AccountTokens,
    private readonly audit: AuditLog,
    @Inject(ENV) private readonly env: Env,
  ) {}

  onModuleInit(): void {
    const { templates } = this;
    templates.register(verificationMail, (mail) => this.verification(mail));
    templates.register(passwordResetMail, (mail) => this.passwordReset(mail));
    templates.register(emailChangeMail, (mail) => this.emailChange(mail));
    this.notices.register(emailChangedMail, passwordChangedMail);
  }

  private async verification({ id, recipient, data }: MailRequest<ByUser>) {
    const isWanted = await this.em.count(User, {
      id: data.userId,
      email: recipient,
      emailVerifiedAt: null,
    });
    return this.withLink(id, 'verify-email', isWanted > 0);
  }

  /** Only here does anybody look whether the address has an account: who asked cannot tell. */
  private async passwordReset({ id, recipient }: MailRequest<ByAddress>) {
    const userId = await this.issueReset({ id, recipient });
    const mail = userId === undefined ? undefined : await this.withLink(id, 'reset-password');
    if (userId !== undefined && mail) {
      await this.audit.record({
        actor: { kind: 'system' },
        action: 'password.reset-issued',
        target: { type: 'user', id: userId },
      });
    }
    return mail;
  }

  /** @returns whose account it is, if there is one */
  private issueReset(mail: { id: string; recipient: string }): Promise<string | undefined> {
    return this.em.transactional(async (em) => {
      const user = await em.findOne(
        User,
        { email: mail.recipient, disabledAt: null },
        { lockMode: LockMode.PESSIMISTIC_READ },
      );
      // Else by an attempt before this one.
      if (user && (await em.count(AccountToken, { id: mail.id })) === 0) {
        this.tokens.issue(em, mail, { user, purpose: 'reset-password' });
      }
      return user?.id;
    });
  }

  /** Whose address it is already is not told that somebody else wanted it. */
  private async emailChange({ id, recipient }: MailRequest<ByUser>) {
    const isTaken = await this.em.count(User, { email: recipient });
    return this.withLink(id, 'change-email', isTaken === 0);
  }

  private async withLink(
    id: string,
    purpose: TokenPurpose,
    isWanted = true,
  ): Promise<MailFacts<LinkFacts> | undefined> {
    if (!isWanted) {
      // Were it forgotten, how many more are sent would tell what became of this one.
      await this.tokens.withdraw(id);
      return undefined;
    }
    const token = await this.tokens.toSend(id, purpose);
    if (!token) {
      await this.tokens.forgetUnsent(id);
      return undefined;
    }
    const link = `${this.env.APP_URL}${PAGES[purpose]}#token=${token.text}`;
    return { language: token.language, facts: { link } };
  }
}
