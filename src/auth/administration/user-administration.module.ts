import { Module } from '@nestjs/common';
import { AccountMailModule } from '../mail/account-mail.module.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import { UserAdministration } from './user-administration.service.js';

/** What administrators change of accounts. */
@Module({
  imports: [AccountMailModule, SessionsModule],
  providers: [UserAdministration],
  exports: [UserAdministration],
})
export class UserAdministrationModule {}
