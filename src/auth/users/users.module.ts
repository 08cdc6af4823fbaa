import { Module } from '@nestjs/common';
import { AccountMailModule } from '../recovery/account-mail.module.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import { UserAdministration } from './user-administration.service.js';
import { Users } from './users.service.js';

/** Accounts, and what administrators change of them. */
@Module({
  imports: [AccountMailModule, SessionsModule],
  providers: [UserAdministration, Users],
  exports: [UserAdministration, Users],
})
export class UsersModule {}
