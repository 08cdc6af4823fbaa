import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Problem } from '../../core/problems/problem.js';
import { soleOwner } from '../auth.problems.js';

interface OwnedStudio {
  id: string;
  name: string;
  hasOthers: boolean;
  hasOtherOwner: boolean;
}

/** What becomes of the studios of somebody who goes. */
@Injectable()
export class StudioLeave {
  /**
   * Takes somebody out of all studios. The owners of those that they own are locked, as by whoever
   * changes one of them: of two who go at the same time one sees that the other has gone.
   *
   * @returns the studios that nobody is in any more
   * @throws Problem `sole-owner`
   */
  async leave(em: EntityManager, userId: string): Promise<string[]> {
    await em.execute(
      `select 1 from studio_members where role = 'OWNER' and studio_id in (
         select studio_id from studio_members where user_id = ? and role = 'OWNER'
       ) order by studio_id, user_id for update`,
      [userId],
    );
    // By a statement of its own, which sees what those did that held the locks before.
    const owned = await em.execute<OwnedStudio[]>(
      `select studios.id, studios.name, count(others) > 0 as "hasOthers",
              coalesce(bool_or(others.role = 'OWNER'), false) as "hasOtherOwner"
       from studio_members as own join studios on studios.id = own.studio_id
       left join studio_members as others
         on others.studio_id = own.studio_id and others.user_id <> own.user_id
       where own.user_id = ? and own.role = 'OWNER'
       group by studios.id`,
      [userId],
    );
    const ownerless = owned.find(({ hasOthers, hasOtherOwner }) => hasOthers && !hasOtherOwner);
    if (ownerless) {
      throw new Problem(soleOwner, `You are the only owner of “${ownerless.name}”.`);
    }
    await em.execute('delete from studio_members where user_id = ?', [userId]);
    return owned.filter(({ hasOthers }) => !hasOthers).map(({ id }) => id);
  }

  async delete(em: EntityManager, ids: readonly string[]): Promise<void> {
    await em.execute(
      `delete from studios where id = any (?::uuid[]) and not exists (
         select from studio_members where studio_id = studios.id
       )`,
      [`{${ids.join()}}`],
    );
  }
}
