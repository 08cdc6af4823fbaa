import { Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { MailDelivery, SMTP_CLIENT } from './mail-delivery.js';
import { MailModule } from './mail.module.js';
import { MailProcessor } from './mail.processor.js';
import { OutgoingMails } from './outgoing-mails.js';
import type { SmtpClient } from './smtp.client.js';

const HOUR_MS = 3_600_000;

/** The sending of mail, for the worker. */
@Module({
  imports: [MailModule, ReconcilerModule],
  providers: [
    MailDelivery,
    MailProcessor,
    { provide: SMTP_CLIENT, inject: [ENV], useFactory: chooseClient },
  ],
})
export class MailWorkerModule {
  constructor(reconciler: Reconciler, mails: OutgoingMails) {
    reconciler.register({
      name: 'mail to forget',
      everyMs: HOUR_MS,
      run: () => mails.forgetOld(),
    });
  }
}

async function chooseClient({ SMTP_URL, MAIL_FROM }: Env): Promise<SmtpClient | null> {
  if (SMTP_URL === undefined || MAIL_FROM === undefined) return null;
  const { SmtpClient } = await import('./smtp.client.js');
  return new SmtpClient({ SMTP_URL, MAIL_FROM });
}
