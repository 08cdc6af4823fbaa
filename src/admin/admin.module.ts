import { Module } from '@nestjs/common';
import { AuditController } from './audit/audit.controller.js';
import { MailModule } from '../mail/mail.module.js';
import { DeadLettersController } from './dead-letters/dead-letters.controller.js';
import { DeadLettersService } from './dead-letters/dead-letters.service.js';
import { AdminMailController } from './mail/admin-mail.controller.js';
import { QueuesController } from './queues/queues.controller.js';
import { QueuesService } from './queues/queues.service.js';

/** What administrators see and govern: queues, dead letters, mail, the audit. */
@Module({
  imports: [MailModule],
  controllers: [AdminMailController, AuditController, DeadLettersController, QueuesController],
  providers: [DeadLettersService, QueuesService],
})
export class AdminModule {}
