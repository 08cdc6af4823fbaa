import { Processor } from '@nestjs/bullmq';
import { workerOptions } from '../queue/backend.js';
import {
  type Attempt,
  JobProcessor,
  JobServices,
  type WriteOutcome,
} from '../queue/job-processor.js';
import { MailDelivery } from './mail-delivery.js';
import { sendMail } from './mail.jobs.js';
import type { OutgoingMail } from './outgoing-mail.entity.js';

/** How many mails one worker sends at once: each waits for the server nearly all the time. */
const AT_ONCE = 4;

/** Works on `outgoing-mail`. */
@Processor(sendMail.name, workerOptions)
export class MailProcessor extends JobProcessor<OutgoingMail> {
  constructor(
    services: JobServices,
    private readonly delivery: MailDelivery,
  ) {
    super(sendMail, services, AT_ONCE);
  }

  protected work(mail: OutgoingMail, attempt: Attempt): Promise<WriteOutcome<OutgoingMail>> {
    return this.delivery.deliver(mail, attempt);
  }
}
