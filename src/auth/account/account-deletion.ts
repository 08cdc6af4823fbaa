import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { Principal } from '../access/principal.js';
import { User } from '../users/user.entity.js';
import { AccountErasure } from './account-erasure.js';
import type { DeleteAccount } from './account.schema.js';
import { OwnerCheck } from '../passwords/owner-check.js';

/** The end of an account, at its owner's wish. */
@Injectable()
export class AccountDeletion {
  constructor(
    private readonly em: EntityManager,
    private readonly owner: OwnerCheck,
    private readonly erasure: AccountErasure,
  ) {}

  /**
   * @throws Problem `wrong-password`, `sign-in-again`, `too-many-requests`, and those of
   *   {@link AccountErasure.erase}
   */
  async delete(principal: Principal, { password }: DeleteAccount): Promise<void> {
    const user = await this.em.findOneOrFail(User, { id: principal.userId });
    await this.owner.require(principal, user, { password, refused: 'account.erasure-refused' });
    await this.erasure.erase(user);
  }
}
