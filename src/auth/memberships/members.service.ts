import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { ReadDatabase } from '../../core/database/read-database.js';
import type { Page } from '../../core/paging.js';
import { forbidden, notFound, Problem } from '../../core/problems/problem.js';
import { StudioMember, type StudioRole } from '../users/studio.entity.js';
import { User } from '../users/user.entity.js';
import { listMembers } from './member.queries.js';
import { type MemberAnswer, type MemberQuery, presentMember } from './member.schema.js';
import type { Membership } from './membership.js';
import { lastOwner } from './membership.problems.js';

/** What of a studio decides whether one of its members may be changed. */
interface LockedMembers {
  /** Who asks for it. */
  acting: StudioMember;
  target: StudioMember;
  owners: number;
}

/** Who works at a studio, and as what. */
@Injectable()
export class MembersService {
  constructor(
    private readonly em: EntityManager,
    private readonly lists: ReadDatabase,
    private readonly audit: AuditLog,
  ) {}

  list({ studioId }: Membership, query: MemberQuery): Promise<Page<MemberAnswer>> {
    return this.lists.read((server) => listMembers(server, studioId, query));
  }

  /** @throws Problem `forbidden`, `not-found`, `last-owner` */
  changeRole(membership: Membership, userId: string, role: StudioRole): Promise<MemberAnswer> {
    return this.em.transactional(async (em) => {
      const { acting, target, owners } = await this.lock(em, membership, userId);
      if (acting.role !== 'OWNER') throw new Problem(forbidden);
      const { role: before } = target;
      if (before !== role) {
        if (before === 'OWNER') requireAnother(owners);
        target.role = role;
        this.audit.add(em, {
          actor: { kind: 'user', id: membership.userId },
          action: 'studio-member.role-changed',
          target: { type: 'user', id: userId },
          before: { studioId: membership.studioId, role: before },
          after: { studioId: membership.studioId, role },
        });
      }
      return presentMember(target, await em.findOneOrFail(User, { id: userId }));
    });
  }

  /** Owners let anybody go, and everybody may leave. @throws Problem as {@link changeRole} does */
  async remove(membership: Membership, userId: string): Promise<void> {
    await this.em.transactional(async (em) => {
      const { acting, target, owners } = await this.lock(em, membership, userId);
      if (acting !== target && acting.role !== 'OWNER') throw new Problem(forbidden);
      if (target.role === 'OWNER') requireAnother(owners);
      em.remove(target);
      this.audit.add(em, {
        actor: { kind: 'user', id: membership.userId },
        action: 'studio-member.removed',
        target: { type: 'user', id: userId },
        before: { studioId: membership.studioId, role: target.role },
      });
    });
  }

  /**
   * Locks who asks, who is meant, and every owner, always in the same order: of two changes at once,
   * the second waits, and sees what the first one has left.
   *
   * @throws Problem `not-found` when one of the two is not in the studio, or not any more
   */
  private async lock(
    em: EntityManager,
    { studioId, userId }: Membership,
    targetId: string,
  ): Promise<LockedMembers> {
    const members = await em.find(
      StudioMember,
      { studio: studioId, $or: [{ role: 'OWNER' }, { user: { $in: [userId, targetId] } }] },
      { lockMode: LockMode.PESSIMISTIC_WRITE, orderBy: { user: 'asc' }, refresh: true },
    );
    const acting = members.find(({ user }) => user.id === userId);
    const target = members.find(({ user }) => user.id === targetId);
    if (!acting || !target) throw new Problem(notFound);
    return { acting, target, owners: members.filter(({ role }) => role === 'OWNER').length };
  }
}

function requireAnother(owners: number): void {
  if (owners < 2) throw new Problem(lastOwner);
}
