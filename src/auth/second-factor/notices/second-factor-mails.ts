import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type MailFacts, type MailRequest, MailTemplates } from '../../../mail/mail-templates.js';
import type { ByUser } from '../../mail/account-mail.texts.js';
import { User } from '../../users/user.entity.js';
import { RecoveryCode } from '../codes/recovery-code.entity.js';
import {
  type CodesLeft,
  codesLockedMail,
  recoveryCodeUsedMail,
  totpSwitchedOffMail,
  totpSwitchedOnMail,
} from './second-factor-mail.texts.js';

/** What the notices about second factors are written from, in the worker; disabled accounts get none. */
@Injectable()
export class SecondFactorMails implements OnModuleInit {
  constructor(
    private readonly em: EntityManager,
    private readonly templates: MailTemplates,
  ) {}

  onModuleInit(): void {
    for (const template of [totpSwitchedOnMail, totpSwitchedOffMail, codesLockedMail]) {
      this.templates.register(template, (mail) => this.notice(mail));
    }
    this.templates.register(recoveryCodeUsedMail, (mail) => this.recoveryCodeUsed(mail));
  }

  private async notice({ data }: MailRequest<ByUser>): Promise<MailFacts<null> | undefined> {
    const user = await this.em.findOne(User, { id: data.userId, disabledAt: null });
    return user ? { language: user.language, facts: null } : undefined;
  }

  private async recoveryCodeUsed(
    mail: MailRequest<ByUser>,
  ): Promise<MailFacts<CodesLeft> | undefined> {
    const found = await this.notice(mail);
    const left = await this.em.count(RecoveryCode, { secret: { user: mail.data.userId } });
    return found && { ...found, facts: { left } };
  }
}
