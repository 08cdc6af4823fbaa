import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { type MailFacts, type MailRequest, MailTemplates } from '../../../mail/mail-templates.js';
import type { ByUser } from '../../mail/account-mail.texts.js';
import { AccountNotices } from '../../mail/account-notices.js';
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
    private readonly notices: AccountNotices,
  ) {}

  onModuleInit(): void {
    this.notices.register(totpSwitchedOnMail, totpSwitchedOffMail, codesLockedMail);
    this.templates.register(recoveryCodeUsedMail, (mail) => this.recoveryCodeUsed(mail));
  }

  private async recoveryCodeUsed(
    mail: MailRequest<ByUser>,
  ): Promise<MailFacts<CodesLeft> | undefined> {
    const found = await this.notices.lookUp(mail);
    const left = await this.em.count(RecoveryCode, { secret: { user: mail.data.userId } });
    return found && { ...found, facts: { left } };
  }
}
