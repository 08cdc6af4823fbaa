import { type RawBuilder, sql } from 'kysely';
import type { ValueOf } from '../database/prepared.js';
import type { AuditDetails } from './audit-entry.entity.js';

/** An entry of the audit, as {@link auditInsert} takes it: of what changes nothing else. */
export interface AuditValues {
  entryId: string;
  actorKind: string;
  actorId: string | null;
  action: string;
  targetType: string | null;
  targetId: string | null;
  requestId: string | null;
  /** Where the request came from. */
  auditAddress: string | null;
  recordedAt: Date;
}

/**
 * The part of a statement that remembers what the rest of it does, for what is done too often to take
 * two: common table expressions that insert an entry for each row of `from`, the name of one before.
 */
export function auditInsert(valueOf: ValueOf<AuditValues>, from: string): RawBuilder<unknown> {
  return sql`
    audit_entry as (
      insert into audit_entries
        (id, actor_kind, actor_id, action, target_type, target_id, request_id, created_at)
      select ${valueOf('entryId')}::uuid, ${valueOf('actorKind')}, ${valueOf('actorId')}::uuid,
             ${valueOf('action')}, ${valueOf('targetType')}, ${valueOf('targetId')}::uuid,
             ${valueOf('requestId')}, ${valueOf('recordedAt')}::timestamptz
      from ${sql.table(from)}
      returning id
    ), audit_detail as (
      insert into audit_details (entry_id, address)
      select id, ${valueOf('auditAddress')} from audit_entry
    )`;
}

/** What {@link auditInsert} takes for what `AuditLog.describe` has described, without before and after. */
export function auditValues({ entry, address }: AuditDetails): AuditValues {
  return {
    entryId: entry.id,
    actorKind: entry.actorKind,
    actorId: entry.actorId ?? null,
    action: entry.action,
    targetType: entry.targetType ?? null,
    targetId: entry.targetId ?? null,
    requestId: entry.requestId ?? null,
    auditAddress: address ?? null,
    recordedAt: entry.createdAt,
  };
}
