import type { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Problem } from '../core/problems/problem.js';
import { Dispatcher } from '../queue/dispatcher.js';
import type { MailData } from './letter.js';
import { mailDriver } from './mail-driver.js';
import type { MailTemplate } from './mail-templates.js';
import { sendMail } from './mail.jobs.js';
import { mailNotConfigured } from './mail.problems.js';
import { OutgoingMail } from './outgoing-mail.entity.js';

/** Mail to write down with what a request commits; the worker writes and sends it. */
@Injectable()
export class Mail {
  constructor(
    private readonly dispatcher: Dispatcher,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** Whether mail goes anywhere. */
  get isConfigured(): boolean {
    return mailDriver(this.env) !== 'not-configured';
  }

  /** @throws Problem `mail-not-configured` */
  requireConfigured(): void {
    if (!this.isConfigured) throw new Problem(mailNotConfigured);
  }

  /** Adds a mail to what an EntityManager is about to commit; {@link handOver} it afterwards. */
  add<Data extends MailData>(
    em: EntityManager,
    template: MailTemplate<Data, never>,
    { recipient, data }: { recipient: string; data: Data },
  ): OutgoingMail {
    const mail = new OutgoingMail({ template: template.name, recipient, data });
    em.persist(mail);
    return mail;
  }

  /** Hands a committed mail to the queue. Never throws: what is left behind is handed over later. */
  async handOver(mail: OutgoingMail): Promise<void> {
    await this.dispatcher.enqueue(sendMail, mail.id);
  }
}
