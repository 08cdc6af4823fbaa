import { getQueueToken } from '@nestjs/bullmq';
import type { Queue } from 'bullmq';
import { sendMail } from '../src/mail/mail.jobs.js';
import { eventually } from './eventually.js';
import type { TestingApp } from './testing-app.js';

/** A mail as its row tells. */
export interface MailRow {
  id: string;
  recipient: string;
  template: string;
  status: string;
  language: string | null;
  subject: string | null;
  text: string | null;
  attempts: number;
  error_code: string | null;
  [column: string]: unknown;
}

/** The mails to an address, the oldest first. */
export function mailRows(app: TestingApp, recipient: string): Promise<MailRow[]> {
  return app.database.query<MailRow>(
    'select * from outgoing_mail where recipient = $1 order by created_at, id',
    [recipient],
  );
}

/** The mails to an address, when so many of one kind have been dealt with. */
export async function finishedMails(
  app: TestingApp,
  recipient: string,
  template: string,
  count = 1,
): Promise<MailRow[]> {
  const isFinished = ({ status }: MailRow) => status !== 'PENDING' && status !== 'SENDING';
  return eventually(
    async () =>
      (await mailRows(app, recipient)).filter(
        (mail) => mail.template === template && isFinished(mail),
      ),
    (mails) => mails.length >= count,
  );
}

/** The token of the newest recorded mail of a kind. */
export async function tokenOf(
  app: TestingApp,
  recipient: string,
  template: string,
  count = 1,
): Promise<string> {
  const mails = await finishedMails(app, recipient, template, count);
  return tokenIn(mails.at(-1)?.text ?? '');
}

/** The token in the link of a mail. */
export function tokenIn(text: string): string {
  const [, token] = /#token=([\w-]{43})$/m.exec(text) ?? [];
  if (token === undefined) throw new Error(`There is no token in the mail:\n${text}`);
  return token;
}

/** Returns when nothing is to be sent any more, and the queue has heard of it. */
export async function settleMail(app: TestingApp): Promise<void> {
  await eventually(
    () => app.database.query('select 1 from outgoing_mail where next_attempt_at is not null'),
    (rows) => rows.length === 0,
  );
  const queue = app.app.get<Queue>(getQueueToken(sendMail.name), { strict: false });
  await eventually(
    () => queue.getJobCountByTypes('active', 'waiting'),
    (count) => count === 0,
  );
}
