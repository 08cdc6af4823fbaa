import { type FilterQuery, LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../core/audit/audit-log.js';
import { findPage } from '../core/database/entity-page.js';
import type { OnceErased } from '../core/personal-data/personal-data.js';
import type { Page } from '../core/paging.js';
import { notFound, Problem } from '../core/problems/problem.js';
import { DeadLetters } from '../queue/dead-letters.js';
import { Dispatcher } from '../queue/dispatcher.js';
import { sendMail } from './mail.jobs.js';
import { OutgoingMail } from './outgoing-mail.entity.js';
import type { MailListQuery } from './outgoing-mail.schema.js';

/** For how long mail is kept that was dealt with, in days. */
const KEPT_DAYS = 30;

/** The mail that was written down, for those who look after the product. */
@Injectable()
export class OutgoingMails {
  constructor(
    private readonly em: EntityManager,
    private readonly letters: DeadLetters,
    private readonly dispatcher: Dispatcher,
    private readonly audit: AuditLog,
  ) {}

  /** A page, the newest first. @throws Problem `validation-failed` when the cursor is not one of this list */
  list(query: MailListQuery): Promise<Page<OutgoingMail>> {
    return findPage(this.em, OutgoingMail, 'createdAt', filterOf(query), query);
  }

  /** @throws Problem `not-found` */
  async get(id: string): Promise<OutgoingMail> {
    const mail = await this.em.findOne(OutgoingMail, { id });
    if (!mail) throw new Problem(notFound);
    return mail;
  }

  /**
   * Erases mail, whatever has become of it, with all that is known of it elsewhere. What is being sent
   * at that moment may arrive; nothing of it is written down.
   */
  async erase(
    em: EntityManager,
    which: FilterQuery<OutgoingMail>,
    onceErased: OnceErased,
  ): Promise<void> {
    const mails = await em.find(OutgoingMail, which, {
      fields: ['id', 'attempts'],
      lockMode: LockMode.PESSIMISTIC_WRITE,
      orderBy: { id: 'asc' },
      disableIdentityMap: true,
    });
    const ids = mails.map(({ id }) => id);
    await em.nativeDelete(OutgoingMail, { id: { $in: ids } });
    await this.letters.forget(em, sendMail, ids);
    await this.audit.forgetTargets(em, ids);
    onceErased(() => this.dispatcher.withdraw(sendMail, mails));
  }

  /** @returns how many were forgotten */
  async forgetOld(): Promise<number> {
    const { affectedRows } = await this.em.execute<{ affectedRows: number }>(
      `delete from outgoing_mail
       where created_at < now() - make_interval(days => ?) and next_attempt_at is null`,
      [KEPT_DAYS],
      'run',
    );
    return affectedRows;
  }
}

function filterOf({ status, template, recipient }: MailListQuery): FilterQuery<OutgoingMail> {
  return {
    ...(status !== undefined && { status }),
    ...(template !== undefined && { template }),
    ...(recipient !== undefined && { recipient }),
  };
}
