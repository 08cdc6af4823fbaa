import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { Principal } from '../access/principal.js';
import { User } from '../users/user.entity.js';
import { lockUser } from '../users/user-lock.js';
import { Users } from '../users/users.service.js';
import { presentMe, type ProfileChanges } from './account.schema.js';

/** What somebody says of themselves. */
@Injectable()
export class Profile {
  constructor(
    private readonly em: EntityManager,
    private readonly users: Users,
  ) {}

  async show({ userId }: Principal) {
    const user = await this.em.findOneOrFail(User, { id: userId });
    const memberships = await this.users.membershipsOf(user);
    return presentMe(user, memberships, await this.users.coinsOf(user));
  }

  async change(principal: Principal, changes: ProfileChanges) {
    await this.em.transactional(async (em) => {
      const user = await lockUser(em, principal.userId, LockMode.PESSIMISTIC_WRITE);
      user.changeProfile(changes);
    });
    return this.show(principal);
  }
}
