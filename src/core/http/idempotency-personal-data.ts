import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { inPages } from '../personal-data/pages.js';
import type { Person, PersonalDataPart } from '../personal-data/personal-data.js';
import { IdempotencyKey } from './idempotency-key.entity.js';

type SentKey = Pick<IdempotencyKey, 'leaseId' | 'key' | 'route' | 'createdAt'>;

/** The keys that somebody sent within the last day. The answers kept with them are of what is exported. */
@Injectable()
export class IdempotencyPersonalData implements PersonalDataPart {
  readonly name = 'idempotencyKeys';

  constructor(private readonly em: EntityManager) {}

  async *export({ id: ownerId }: Person): AsyncGenerator<object> {
    // Each row has a lease of its own, which sorts as an id does.
    const keys = inPages<SentKey>((last, limit) => {
      const behind = last ? { leaseId: { $gt: last.leaseId } } : {};
      return this.em.fork().find(
        IdempotencyKey,
        { $and: [{ ownerId }, behind] },
        {
          ...{ orderBy: { leaseId: 'asc' }, limit },
          fields: ['leaseId', 'key', 'route', 'createdAt'],
        },
      );
    });
    for await (const { key, route, createdAt } of keys) yield { key, route, createdAt };
  }

  /** A request that still holds its key finds it gone, and its effect is undone. */
  async erase(em: EntityManager, { id: ownerId }: Person): Promise<void> {
    await em.nativeDelete(IdempotencyKey, { ownerId });
  }
}
