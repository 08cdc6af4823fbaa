import { Inject, Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Capabilities } from '../core/process/capabilities.js';
import { QueueModule } from '../queue/queue.module.js';
import { mailCapability } from './mail-driver.js';
import { MailTemplates } from './mail-templates.js';
import { sendMail } from './mail.jobs.js';
import { Mail } from './mail.service.js';
import { OutgoingMails } from './outgoing-mails.js';

/** Mail as every process knows it: the API writes it down, the worker sends it. */
@Module({
  imports: [QueueModule.forJob(sendMail)],
  providers: [Mail, MailTemplates, OutgoingMails],
  exports: [Mail, MailTemplates, OutgoingMails],
})
export class MailModule {
  constructor(capabilities: Capabilities, @Inject(ENV) env: Env) {
    capabilities.register(mailCapability(env));
  }
}
