import { sql } from 'kysely';
import { isoTime } from '../../core/database/iso-time.js';
import { cutNewestFirst, newestFirst } from '../../core/database/newest-first.js';
import type { ReadServer } from '../../core/database/read-database.js';
import type { Page, PagedRow } from '../../core/paging.js';
import type { MemberAnswer, MemberQuery } from './member.schema.js';

type MemberRow = Omit<MemberAnswer, 'userId'> & PagedRow;

/** A page of those who work at a studio, the last to join first. */
export async function listMembers(
  { database }: ReadServer<unknown>,
  studioId: string,
  query: MemberQuery,
): Promise<Page<MemberAnswer>> {
  const columns = { time: 'members.created_at', id: 'members.user_id' };
  const { sortValue, isBehind, page } = newestFirst(columns, query);
  const { rows } = await sql<MemberRow>`
    select members.user_id as id, email, role,
           nullif(concat_ws(' ', nullif(first_name, ''), nullif(last_name, '')), '') as name,
           ${isoTime('members.created_at')} as "joinedAt", ${sortValue} as "sortValue"
    from studio_members as members join users on users.id = members.user_id
    where studio_id = ${studioId}::uuid and ${isBehind} ${page}`.execute(database);
  const counted = query.total
    ? await sql<{ total: number }>`
        select count(*)::float8 as total from studio_members where studio_id = ${studioId}::uuid
      `.execute(database)
    : undefined;
  const found = cutNewestFirst(rows, query, counted && (counted.rows[0]?.total ?? 0));
  return { ...found, items: found.items.map(({ id, ...rest }) => ({ userId: id, ...rest })) };
}
