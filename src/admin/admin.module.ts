import { Module } from '@nestjs/common';
import { UserAdministrationModule } from '../auth/administration/user-administration.module.js';
import { SecondFactorModule } from '../auth/second-factor/second-factor.module.js';
import { SessionsModule } from '../auth/sessions/sessions.module.js';
import { UsersModule } from '../auth/users/users.module.js';
import { MailModule } from '../mail/mail.module.js';
import { AuditController } from './audit/audit.controller.js';
import { DeadLettersController } from './dead-letters/dead-letters.controller.js';
import { DeadLettersService } from './dead-letters/dead-letters.service.js';
import { AdminMailController } from './mail/admin-mail.controller.js';
import { QueuesController } from './queues/queues.controller.js';
import { QueuesService } from './queues/queues.service.js';
import { AdminUsersController } from './users/admin-users.controller.js';
import { UserTotpController } from './users/user-totp.controller.js';

/** What administrators see and govern: users, queues, dead letters, mail, the audit. */
@Module({
  imports: [MailModule, SecondFactorModule, SessionsModule, UserAdministrationModule, UsersModule],
  controllers: [
    AdminMailController,
    AdminUsersController,
    AuditController,
    DeadLettersController,
    QueuesController,
    UserTotpController,
  ],
  providers: [DeadLettersService, QueuesService],
})
export class AdminModule {}
