import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { idBehind, inPages } from '../core/personal-data/pages.js';
import type { OnceErased, Person, PersonalDataPart } from '../core/personal-data/personal-data.js';
import { OutgoingMail } from './outgoing-mail.entity.js';
import { OutgoingMails } from './outgoing-mails.js';

/** Mail to a person, and mail about their account to whatever address. */
@Injectable()
export class MailPersonalData implements PersonalDataPart {
  readonly name = 'mails';

  constructor(
    private readonly em: EntityManager,
    private readonly mails: OutgoingMails,
  ) {}

  /** Without the texts: those that are kept hold keys to the account. */
  async *export({ id, email }: Person): AsyncGenerator<object> {
    // Mail to the same address about another account is none of theirs.
    const theirs = {
      $or: [{ data: { userId: id } }, { recipient: email ?? '', data: { userId: null } }],
    };
    const mails = inPages<OutgoingMail>((after, limit) =>
      this.em
        .fork()
        .find(OutgoingMail, { $and: [theirs, idBehind(after)] }, { orderBy: { id: 'asc' }, limit }),
    );
    for await (const { recipient, template, status, subject = null, createdAt } of mails) {
      yield { to: recipient, template, status, subject, createdAt };
    }
  }

  async erase(em: EntityManager, { id, email }: Person, onceErased: OnceErased): Promise<void> {
    const which = { $or: [{ data: { userId: id } }, { recipient: email ?? '' }] };
    await this.mails.erase(em, which, onceErased);
  }
}
