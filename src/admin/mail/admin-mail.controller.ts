import { Controller, Get, Param, Query } from '@nestjs/common';
import { CurrentActor } from '../../auth/access/current-actor.js';
import { Roles } from '../../auth/access/roles.guard.js';
import { type Actor, AuditLog } from '../../core/audit/audit-log.js';
import { Operation } from '../../core/openapi/openapi.js';
import { notFound, validationFailed } from '../../core/problems/problem.js';
import {
  type MailListQuery,
  mailListQuery,
  mailPageSchema,
  mailParams,
  mailSchema,
  presentMail,
  presentMailSummary,
} from '../../mail/outgoing-mail.schema.js';
import { OutgoingMails } from '../../mail/outgoing-mails.js';

/** The mail that was sent, or would have been, for administrators. */
@Controller('api/v1/admin/mail')
@Roles('ADMIN')
export class AdminMailController {
  constructor(
    private readonly mails: OutgoingMails,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  @Operation({
    summary: 'List mail',
    description: 'The newest first, for thirty days.',
    answers: { 200: { description: 'A page of mail', schema: mailPageSchema } },
    problems: [validationFailed],
  })
  async list(@Query({ schema: mailListQuery }) query: MailListQuery) {
    const page = await this.mails.list(query);
    return { ...page, items: page.items.map(presentMailSummary) };
  }

  @Get(':id')
  @Operation({
    summary: 'Show a mail',
    description:
      'With its text when there is no mail server. It may hold a key to somebody’s account, so that ' +
      'reading it is audited.',
    answers: { 200: { description: 'The mail', schema: mailSchema } },
    problems: [notFound, validationFailed],
  })
  async show(@CurrentActor() actor: Actor, @Param({ schema: mailParams }) { id }: { id: string }) {
    const mail = await this.mails.get(id);
    if (mail.text != null) {
      await this.audit.record({ actor, action: 'mail.read', target: { type: 'mail', id } });
    }
    return presentMail(mail);
  }
}
