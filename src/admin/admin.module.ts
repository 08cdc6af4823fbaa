import { Module } from '@nestjs/common';
import { AuditController } from './audit/audit.controller.js';
import { SecondFactorModule } from '../auth/second-factor/second-factor.module.js';
import { MailModule } from '../mail/mail.module.js';
import { DeadLettersController } from './dead-letters/dead-letters.controller.js';
import { DeadLettersService } from './dead-letters/dead-letters.service.js';
import { AdminMailController } from './mail/admin-mail.controller.js';
import { QueuesController } from './queues/queues.controller.js';
import { QueuesService } from './queues/queues.service.js';
import { UserTotpController } from './users/user-totp.controller.js';

/** What administrators see and govern: queues, dead letters, mail, second factors, the audit. */
@Module({
  imports: [MailModule, SecondFactorModule],
  controllers: [
    AdminMailController,
    AuditController,
    DeadLettersController,
    QueuesController,
    UserTotpController,
  ],
  providers: [DeadLettersService, QueuesService],
})
export class AdminModule {}
