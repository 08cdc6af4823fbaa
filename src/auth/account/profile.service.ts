import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { Principal } from '../access/principal.js';
import { StudioMember } from '../users/studio.entity.js';
import { User } from '../users/user.entity.js';
import { lockUser } from '../users/user-lock.js';
import { presentMe, type ProfileChanges } from './account.schema.js';

/** What somebody says of themselves. */
@Injectable()
export class Profile {
  constructor(private readonly em: EntityManager) {}

  async show({ userId }: Principal) {
    const user = await this.em.findOneOrFail(User, { id: userId });
    const memberships = await this.em.find(
      StudioMember,
      { user },
      { populate: ['studio'], orderBy: { createdAt: 'asc', studio: 'asc' } },
    );
    return presentMe(user, memberships);
  }

  async change(principal: Principal, changes: ProfileChanges) {
    await this.em.transactional(async (em) => {
      const user = await lockUser(em, principal.userId, LockMode.PESSIMISTIC_WRITE);
      user.changeProfile(changes);
    });
    return this.show(principal);
  }
}
