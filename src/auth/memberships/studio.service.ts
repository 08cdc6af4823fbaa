import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Studio } from '../users/studio.entity.js';
import { presentStudio, type StudioAnswer } from '../users/user.schema.js';
import type { Membership } from './membership.js';
import type { StudioChanges } from './studio.schema.js';

/** What a studio is called, and where it is at home. */
@Injectable()
export class StudioService {
  constructor(
    private readonly em: EntityManager,
    private readonly audit: AuditLog,
  ) {}

  async show({ studioId, role }: Membership): Promise<StudioAnswer> {
    return presentStudio(await this.em.findOneOrFail(Studio, { id: studioId }), role);
  }

  /** Changes what is named, and leaves the rest. */
  change({ studioId, userId, role }: Membership, changes: StudioChanges): Promise<StudioAnswer> {
    return this.em.transactional(async (em) => {
      const lock = { lockMode: LockMode.PESSIMISTIC_WRITE, refresh: true } as const;
      const studio = await em.findOneOrFail(Studio, { id: studioId }, lock);
      const { before, after } = differences(studio, changes);
      if (Object.keys(after).length > 0) {
        em.assign(studio, after);
        this.audit.add(em, {
          actor: { kind: 'user', id: userId },
          action: 'studio.changed',
          target: { type: 'studio', id: studioId },
          ...{ before, after },
        });
      }
      return presentStudio(studio, role);
    });
  }
}

/** What would be other than it is, as it is and as it would be. */
function differences(studio: Studio, changes: StudioChanges) {
  const names = (['name', 'timezone', 'locale'] as const).filter(
    (name) => changes[name] !== undefined && changes[name] !== studio[name],
  );
  const pick = (from: StudioChanges) => Object.fromEntries(names.map((name) => [name, from[name]]));
  return { before: pick(studio), after: pick(changes) };
}
