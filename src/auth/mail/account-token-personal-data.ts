import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { idBehind, inPages } from '../../core/personal-data/pages.js';
import type {
  OnceErased,
  Person,
  PersonalDataPart,
} from '../../core/personal-data/personal-data.js';
import { OutgoingMails } from '../../mail/outgoing-mails.js';
import { AccountToken } from './account-token.entity.js';

/** What a person was sent to prove an address or to choose a password: for what and when, not the key. */
@Injectable()
export class AccountTokenPersonalData implements PersonalDataPart {
  readonly name = 'accountTokens';

  constructor(
    private readonly em: EntityManager,
    private readonly mails: OutgoingMails,
  ) {}

  async *export({ id: user }: Person): AsyncGenerator<object> {
    const tokens = inPages<AccountToken>((after, limit) =>
      this.em
        .fork()
        .find(
          AccountToken,
          { $and: [{ user }, idBehind(after)] },
          { orderBy: { id: 'asc' }, limit },
        ),
    );
    for await (const { purpose, email, createdAt, expiresAt, usedAt = null } of tokens) {
      yield { purpose, email, createdAt, expiresAt, usedAt };
    }
  }

  /** With the mails that bring them, to whatever address the account had at the time. */
  async erase(em: EntityManager, { id }: Person, onceErased: OnceErased): Promise<void> {
    const tokens = await em.execute<{ id: string }[]>(
      'delete from account_tokens where user_id = ? returning id',
      [id],
    );
    const mailIds = tokens.map(({ id: mailId }) => mailId);
    await this.mails.erase(em, { id: { $in: mailIds } }, onceErased);
  }
}
