import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { idBehind, inPages } from '../../core/personal-data/pages.js';
import type { Person, PersonalDataPart } from '../../core/personal-data/personal-data.js';
import { Session } from './session.entity.js';

/** Where and when a person has signed in, also of sessions that are over. */
@Injectable()
export class SessionPersonalData implements PersonalDataPart {
  readonly name = 'sessions';

  constructor(private readonly em: EntityManager) {}

  async *export({ id: user }: Person): AsyncGenerator<object> {
    const sessions = inPages<Session>((after, limit) =>
      this.em
        .fork()
        .find(Session, { $and: [{ user }, idBehind(after)] }, { orderBy: { id: 'asc' }, limit }),
    );
    for await (const session of sessions) {
      const { id, device, address, createdAt, lastUsedAt, expiresAt } = session;
      const { endedAt = null, endedBecause = null } = session;
      yield { id, device, address, createdAt, lastUsedAt, expiresAt, endedAt, endedBecause };
    }
  }

  /** A refresh that comes meanwhile waits for the row, and finds it gone. */
  async erase(em: EntityManager, { id: user }: Person): Promise<void> {
    await em.nativeDelete(Session, { user });
  }
}
