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
    private readonly tokens: AccountTokens,
    private readonly audit: AuditLog,
    @Inject(ENV) private readonly env: Env,
  ) {}

  onModuleInit(): void {
    const { templates } = this;
    templates.register(verificationMail, (mail) => this.verification(mail));
    templates.register(passwordResetMail, (mail) => this.passwordReset(mail));
    templates.register(emailChangeMail, (mail) => this.emailChange(mail));
    templates.register(emailChangedMail, (mail) => this.notice(mail));
    templates.register(passwordChangedMail, (mail) => this.notice(mail));
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
    const isWanted = await this.em.transactional(async (em) => {
      const user = await em.findOne(
        User,
        { email: recipient, disabledAt: null },
        { lockMode: LockMode.PESSIMISTIC_READ },
      );
      if (!user) return false;
      // By an attempt before this one.
      if (await em.count(AccountToken, { id })) return true;
      this.tokens.issue(em, { id, recipient }, { user, purpose: 'reset-password' });
      this.audit.add(em, {
        actor: { kind: 'system' },
        action: 'password.reset-issued',
        target: { type: 'user', id: user.id },
      });
      return true;
    });
    return isWanted ? this.withLink(id, 'reset-password') : undefined;
  }

  /** Whose address it is already is not told that somebody else wanted it. */
  private async emailChange({ id, recipient }: MailRequest<ByUser>) {
    const isTaken = await this.em.count(User, { email: recipient });
    return this.withLink(id, 'change-email', isTaken === 0);
  }

  /** Of what was done already. */
  private async notice({ data }: MailRequest<ByUser>) {
    const user = await this.em.findOne(User, { id: data.userId, disabledAt: null });
    return user ? { language: user.language, facts: null } : undefined;
  }

  private async withLink(
    id: string,
    purpose: TokenPurpose,
    isWanted = true,
  ): Promise<MailFacts<LinkFacts> | undefined> {
    const token = isWanted ? await this.tokens.toSend(id, purpose) : undefined;
    if (!token) {
      await this.tokens.forgetUnsent(id);
      return undefined;
    }
    const link = `${this.env.APP_URL}${PAGES[purpose]}#token=${token.text}`;
    return { language: token.language, facts: { link } };
  }
}
