import { Module } from '@nestjs/common';
import { MailModule } from '../../mail/mail.module.js';
import { AccountMails } from './account-mails.js';
import { AccountNotices } from './account-notices.js';
import { AccountTokens } from './account-tokens.js';
import { EmailVerification } from './verification.service.js';

/**
 * The mails about accounts: the API writes them down, the worker looks up what is in them. Registering
 * asks for a proof of the address, so the proof is down here; the routes that take it are `recovery`'s.
 */
@Module({
  imports: [MailModule],
  providers: [AccountMails, AccountNotices, AccountTokens, EmailVerification],
  exports: [AccountNotices, AccountTokens, EmailVerification, MailModule],
})
export class AccountMailModule {}
