import type { FilterQuery } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { cutPage, decodeCursor, type Page, timeValue } from '../core/paging.js';
import { notFound, Problem } from '../core/problems/problem.js';
import { OutgoingMail } from './outgoing-mail.entity.js';
import type { MailListQuery } from './outgoing-mail.schema.js';

/** For how long mail is kept that was dealt with, in days. */
const KEPT_DAYS = 30;
/** The only order of the list: the newest first. */
const ORDER = '-createdAt';

/** The mail that was written down, for those who look after the product. */
@Injectable()
export class OutgoingMails {
  constructor(private readonly em: EntityManager) {}

  /** @throws Problem `validation-failed` when the cursor is not one of this list */
  async list(query: MailListQuery): Promise<Page<OutgoingMail>> {
    const { limit, cursor, offset, total } = query;
    const matching = filterOf(query);
    const mails = await this.em.find(
      OutgoingMail,
      cursor === undefined ? matching : { $and: [matching, behind(cursor)] },
      {
        orderBy: { createdAt: 'desc', id: 'desc' },
        limit: limit + 1,
        ...(offset !== undefined && { offset }),
      },
    );
    const count = total ? await this.em.count(OutgoingMail, matching) : undefined;
    const rows = mails.map((mail) => ({
      id: mail.id,
      sortValue: mail.createdAt.toISOString(),
      mail,
    }));
    const page = cutPage(rows, { limit, order: ORDER, total: count });
    return { ...page, items: page.items.map(({ mail }) => mail) };
  }

  /** @throws Problem `not-found` */
  async get(id: string): Promise<OutgoingMail> {
    const mail = await this.em.findOne(OutgoingMail, { id });
    if (!mail) throw new Problem(notFound);
    return mail;
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

function behind(cursor: string): FilterQuery<OutgoingMail> {
  const { value, id } = decodeCursor(cursor, ORDER, timeValue);
  const createdAt = new Date(value);
  return { $or: [{ createdAt: { $lt: createdAt } }, { createdAt, id: { $lt: id } }] };
}
