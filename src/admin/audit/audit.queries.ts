import { type Kysely, type RawBuilder, sql } from 'kysely';
import { isoTime } from '../../core/database/iso-time.js';
import { cutNewestFirst, newestFirst } from '../../core/database/newest-first.js';
import type { ReadServer } from '../../core/database/read-database.js';
import type { Page, PagedRow } from '../../core/paging.js';
import type { AuditEntryAnswer, AuditQuery } from './audit.schema.js';

/** A page of what the audit remembers, with its details as far as they are there. */
export async function listAudit(
  { database }: ReadServer<unknown>,
  query: AuditQuery,
): Promise<Page<AuditEntryAnswer>> {
  const columns = { time: 'entries.created_at', id: 'entries.id' };
  const { sortValue, isBehind, page } = newestFirst(columns, query);
  const filter = matching(query);
  const { rows } = await sql<AuditEntryAnswer & PagedRow>`
    select entries.id, action,
           json_build_object('kind', actor_kind, 'id', actor_id) as actor,
           case when target_type is not null
             then json_build_object('type', target_type, 'id', target_id) end as target,
           request_id as "requestId", address, before, after,
           ${isoTime('entries.created_at')} as "createdAt", ${sortValue} as "sortValue"
    from audit_entries as entries left join audit_details as details on details.entry_id = entries.id
    where ${filter} and ${isBehind} ${page}`.execute(database);
  const total = query.total ? await countAudit(database, filter) : undefined;
  return cutNewestFirst(rows, query, total);
}

async function countAudit(database: Kysely<unknown>, filter: RawBuilder<unknown>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from audit_entries as entries where ${filter}
  `.execute(database);
  return rows[0]?.count ?? 0;
}

function matching({ actorKind, actorId, action, targetType, targetId, from, to }: AuditQuery) {
  const conditions = [sql<boolean>`true`];
  if (actorKind !== undefined) conditions.push(sql`actor_kind = ${actorKind}`);
  if (actorId !== undefined) conditions.push(sql`actor_id = ${actorId}::uuid`);
  if (action?.endsWith('.')) conditions.push(sql`starts_with(action, ${action})`);
  else if (action !== undefined) conditions.push(sql`action = ${action}`);
  if (targetType !== undefined) conditions.push(sql`target_type = ${targetType}`);
  if (targetId !== undefined) conditions.push(sql`target_id = ${targetId}::uuid`);
  if (from !== undefined) conditions.push(sql`entries.created_at >= ${from}::timestamptz`);
  if (to !== undefined) conditions.push(sql`entries.created_at < ${to}::timestamptz`);
  return sql.join(conditions, sql` and `);
}
