import { type RawBuilder, sql } from 'kysely';
import type { StudioAnswer } from '../users/user.schema.js';

/** A studio that somebody works at, and what they are there, as {@link joinedStudio} reads it. */
export type JoinedStudio = Pick<StudioAnswer, 'id' | 'name' | 'role' | 'timezone' | 'locale'>;

/**
 * The part of a query that reads the studio that a token speaks for by itself: the one joined first.
 *
 * @param userId what the query calls the id of the account
 */
export function joinedStudio(userId: string): RawBuilder<JoinedStudio | null> {
  return sql`(
    select json_build_object('id', studios.id, 'name', name, 'role', role,
                             'timezone', timezone, 'locale', locale)
    from studio_members join studios on studios.id = studio_id
    where user_id = ${sql.ref(userId)}
    order by studio_members.created_at, studio_id
    limit 1)`;
}
