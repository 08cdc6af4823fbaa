import { Inject, Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { PersonalData } from '../core/personal-data/personal-data.js';
import { Capabilities } from '../core/process/capabilities.js';
import { QueueModule } from '../queue/queue.module.js';
import { mailCapability } from './mail-driver.js';
import { MailPersonalData } from './mail-personal-data.js';
import { MailTemplates } from './mail-templates.js';
import { sendMail } from './mail.jobs.js';
import { Mail } from './mail.service.js';
import { OutgoingMails } from './outgoing-mails.js';

/** Mail as every process knows it: the API writes it down, the worker sends it. */
@Module({
  imports: [QueueModule.forJob(sendMail)],
  providers: [Mail, MailPersonalData, MailTemplates, OutgoingMails],
  exports: [Mail, MailTemplates, OutgoingMails],
})
export class MailModule {
  constructor(
    capabilities: Capabilities,
    personalData: PersonalData,
    mails: MailPersonalData,
    @Inject(ENV) env: Env,
  ) {
    capabilities.register(mailCapability(env));
    personalData.register(mails);
  }
}
