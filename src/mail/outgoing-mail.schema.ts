import { z } from 'zod';
import { givenId } from '../core/ids.js';
import { pageOf, pageQuery } from '../core/paging.js';
import { text } from '../core/text.js';
import { MAIL_LANGUAGES } from './mail-language.js';
import { MAIL_STATUSES, type OutgoingMail } from './outgoing-mail.entity.js';

/** The query of a list of mail. */
export const mailListQuery = pageQuery({
  status: z.enum(MAIL_STATUSES).optional().describe('Only mail in this state.'),
  template: text({ max: 100 }).optional().describe('Only mail of this kind.'),
  recipient: text({ max: 254 }).toLowerCase().optional().describe('Only mail to this address.'),
});

export const mailParams = z.object({ id: givenId });

const mailFields = {
  id: z.uuid(),
  to: z.string(),
  template: z.string().describe('What kind of mail it is.'),
  status: z
    .enum(MAIL_STATUSES)
    .describe('`SENT`: a mail server has taken it. `RECORDED`: there is none, and it stays here.'),
  language: z.enum(MAIL_LANGUAGES).nullable().describe('Null until it has been written.'),
  subject: z.string().nullable().describe('Null until it has been written.'),
  attempts: z.int().min(0),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
} as const;

const mailSummarySchema = z.object(mailFields).meta({ id: 'MailSummary' });

export const mailPageSchema = pageOf(mailSummarySchema).meta({ id: 'MailPage' });

export const mailSchema = z
  .object({ ...mailFields, text: z.string().nullable().describe('Of a `RECORDED` mail alone.') })
  .meta({ id: 'Mail' });

export type MailListQuery = z.output<typeof mailListQuery>;

/** A mail without its text. */
export function presentMailSummary(mail: OutgoingMail): z.output<typeof mailSummarySchema> {
  const { errorCode, errorDetail } = mail;
  return {
    id: mail.id,
    to: mail.recipient,
    template: mail.template,
    status: mail.status,
    language: mail.language ?? null,
    subject: mail.subject ?? null,
    attempts: mail.attempts,
    error: errorCode == null ? null : { code: errorCode, detail: errorDetail ?? '' },
    createdAt: mail.createdAt.toISOString(),
    updatedAt: mail.updatedAt.toISOString(),
  };
}

export function presentMail(mail: OutgoingMail): z.output<typeof mailSchema> {
  return { ...presentMailSummary(mail), text: mail.text ?? null };
}
