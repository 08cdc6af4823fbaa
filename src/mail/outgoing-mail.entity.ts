import { defineEntity, p } from '@mikro-orm/core';
import { v5 } from 'uuid';
import { newId } from '../core/ids.js';
import { currentRequestId, currentTraceParent } from '../core/request-context.js';
import {
  dueIn,
  renewWork,
  workColumns,
  type WorkError,
  workIndexes,
  type WorkRow,
} from '../queue/work-row.js';
import type { Letter, MailData } from './letter.js';
import type { MailLanguage } from './mail-language.js';

export const MAIL_STATUSES = ['PENDING', 'SENDING', 'SENT', 'RECORDED', 'FAILED'] as const;
export type MailStatus = (typeof MAIL_STATUSES)[number];

/** Under which addresses become UUIDs (RFC 9562 section 5.5). */
const RECIPIENTS = '0b3c1f0e-6d4e-4a0b-9a53-5d8f5ab0f1c7';

const OutgoingMailSchema = defineEntity({
  name: 'OutgoingMail',
  tableName: 'outgoing_mail',
  comment: 'Mail that is to be sent, or was',
  properties: {
    id: p.uuid().primary(),
    /** The address as a UUID: each takes its turn, so that nobody’s mail holds up another’s. */
    recipientId: p.uuid(),
    recipient: p.string().length(254),
    /** The name of its template. */
    template: p.string().length(100),
    /** What it is written from when it is sent: ids. */
    data: p.json<MailData>(),
    status: p.enum(MAIL_STATUSES),
    /** As it was written; null before. */
    language: p.string().length(2).$type<MailLanguage>().nullable(),
    subject: p.string().length(200).nullable(),
    /** Only of a mail that was not sent: those that were may hold keys to an account. */
    text: p.text().nullable(),
    errorCode: p.string().length(100).nullable(),
    errorDetail: p.text().nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
    ...workColumns,
  },
  indexes: [{ properties: ['createdAt', 'id'] }, ...workIndexes('outgoing_mail', 'recipient_id')],
  checks: [
    {
      name: 'outgoing_mail_unfinished_is_work',
      expression: `(status in ('PENDING', 'SENDING')) = (next_attempt_at is not null)`,
    },
    {
      name: 'outgoing_mail_failed_has_error',
      expression: `status <> 'FAILED' or error_code is not null`,
    },
    {
      name: 'outgoing_mail_text_was_not_sent',
      expression: `text is null or status = 'RECORDED'`,
    },
  ],
});

/** What a mail is made of. */
interface NewMail {
  template: string;
  recipient: string;
  data: MailData;
}

/** A mail and the work on it: it is written when it is sent, and its text is not kept then. */
export class OutgoingMail extends OutgoingMailSchema.class implements WorkRow {
  constructor({ template, recipient, data }: NewMail) {
    super();
    // Else an address could bring headers of its own.
    if (/[\s\p{Cc}<>,;]/u.test(recipient)) throw new Error('The recipient is not one address');
    this.id = newId();
    this.recipientId = v5(recipient.toLowerCase(), RECIPIENTS);
    this.recipient = recipient;
    this.template = template;
    this.data = data;
    this.status = 'PENDING';
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.attempts = 0;
    this.nextAttemptAt = dueIn(0);
    this.requestId = currentRequestId() ?? null;
    this.traceParent = currentTraceParent() ?? null;
  }

  start(): void {
    this.expect('PENDING', 'SENDING');
    this.status = 'SENDING';
  }

  /** The mail server has taken it. */
  markSent(letter: Letter): void {
    this.expect('SENDING');
    this.status = 'SENT';
    this.describe(letter);
  }

  /** There is no mail server: administrators can read it. */
  record(letter: Letter): void {
    this.expect('SENDING');
    this.status = 'RECORDED';
    this.describe(letter);
    this.text = letter.text;
  }

  fail({ code, detail }: WorkError): void {
    this.expect('PENDING', 'SENDING');
    this.status = 'FAILED';
    this.errorCode = code;
    this.errorDetail = detail;
  }

  /** Has it sent after all; one that was sent, or can be read, is left as it is. */
  revive(): void {
    if (this.status !== 'FAILED') return;
    this.status = 'PENDING';
    this.errorCode = null;
    this.errorDetail = null;
    renewWork(this);
  }

  private describe({ language, subject }: Letter): void {
    this.language = language;
    this.subject = subject;
  }

  private expect(...allowed: MailStatus[]): void {
    if (!allowed.includes(this.status)) {
      throw new Error(`Mail ${this.id} is ${this.status}, not ${allowed.join(' or ')}`);
    }
  }
}
OutgoingMailSchema.setClass(OutgoingMail);
