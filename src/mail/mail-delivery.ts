import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { JobRefusal } from '../queue/job-errors.js';
import type { Attempt, WriteOutcome } from '../queue/job-processor.js';
import { mailDriver } from './mail-driver.js';
import { MailTemplates } from './mail-templates.js';
import { mailNotConfigured } from './mail.problems.js';
import type { OutgoingMail } from './outgoing-mail.entity.js';
import type { SmtpClient } from './smtp.client.js';

/** Injection token of the {@link SmtpClient}; null where mail is only recorded. */
export const SMTP_CLIENT = Symbol('SMTP_CLIENT');

/** Writes a mail and hands it to the mail server, or to the table where there is none. */
@Injectable()
export class MailDelivery {
  constructor(
    private readonly templates: MailTemplates,
    @Inject(SMTP_CLIENT) private readonly smtp: SmtpClient | null,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * A crash between the server's answer and the commit has it sent again: the same text under the
   * same Message-ID.
   *
   * @returns what to write; a mail that nobody wants any more leaves no row
   * @throws JobRefusal when the recipient is refused for good
   */
  async deliver(mail: OutgoingMail, { signal }: Attempt): Promise<WriteOutcome<OutgoingMail>> {
    const { smtp } = this;
    if (mailDriver(this.env) === 'not-configured') {
      throw new JobRefusal(mailNotConfigured.code, mailNotConfigured.title);
    }
    const letter = await this.templates.write(mail);
    if (!letter) {
      return (row, em) => {
        em.remove(row);
      };
    }
    await smtp?.send(letter, signal);
    return (row) => {
      if (smtp) row.markSent(letter);
      else row.record(letter);
    };
  }
}
