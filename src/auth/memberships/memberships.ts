import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { RowsById } from '../../core/database/rows-by-id.js';
import { notFound, Problem } from '../../core/problems/problem.js';
import type { Principal } from '../access/principal.js';
import type { StudioRole } from '../users/studio.entity.js';
import type { Membership } from './membership.js';
import { noStudio } from './membership.problems.js';

/** The table as the query sees it, with PostgreSQL's names. */
interface MembershipTables {
  studio_members: { studio_id: string; user_id: string; role: StudioRole };
}

/** Who works where. It is asked for with every request that is about a studio. */
@Injectable()
export class Memberships {
  private readonly rows: RowsById<MembershipTables, Membership>;

  constructor(em: EntityManager) {
    this.rows = new RowsById(em, {
      query: (database, ids) =>
        database
          .selectFrom('studio_members')
          .select(['studio_id as studioId', 'user_id as userId', 'role'])
          .where(sql<boolean>`user_id = any (${ids}::uuid[])`),
      idOf: ({ userId }) => userId,
    });
  }

  /**
   * The studio that a request is about: the one that it names, else the one that the token speaks
   * for, else the only one there is. Who has left the one of the token is not taken to another: the
   * request was not meant for that.
   *
   * @param named by the request, if it names one
   * @throws Problem `not-found` when the user does not work at the one that is named; `no-studio`
   */
  async find({ userId, studioId }: Principal, named: string | undefined): Promise<Membership> {
    const all = await this.rows.find(userId);
    const wanted = named ?? studioId;
    const [first, ...others] = wanted ? all.filter((each) => each.studioId === wanted) : all;
    if (first && others.length === 0) return first;
    throw new Problem(named === undefined ? noStudio : notFound);
  }
}
