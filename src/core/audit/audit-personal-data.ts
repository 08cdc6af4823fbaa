import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { isoTime } from '../database/iso-time.js';
import { inPages } from '../personal-data/pages.js';
import type { Person, PersonalDataPart } from '../personal-data/personal-data.js';

/** An entry with what is known besides its ids. */
interface EntryRow {
  id: string;
  actorKind: string;
  actorId: string | null;
  action: string;
  targetType: string | null;
  targetId: string | null;
  /** ISO 8601 in UTC. */
  createdAt: string;
  address: string | null;
  before: unknown;
  after: unknown;
}

/**
 * What was done by a person, and to their account. The entries stay, as they hold ids alone; what else
 * is known of them goes.
 */
@Injectable()
export class AuditPersonalData implements PersonalDataPart {
  readonly name = 'auditEntries';

  constructor(private readonly em: EntityManager) {}

  async *export({ id }: Person): AsyncGenerator<object> {
    const entries = inPages<EntryRow>((last, limit) => this.page(id, last, limit));
    for await (const { address, before, after, ...entry } of entries) {
      // Whoever else has done something has an address of their own.
      const isByOthers = entry.actorKind === 'user' && entry.actorId !== id;
      yield {
        ...entry,
        address: isByOthers ? null : address,
        ...(isAboutOthers(entry, id) ? { before: null, after: null } : { before, after }),
      };
    }
  }

  /** Of what the person did to the accounts of others, only where from: the rest is about those. */
  async erase(em: EntityManager, { id }: Person): Promise<void> {
    await em.execute(
      `delete from audit_details where entry_id in (
         select id from audit_entries where target_id = ?
         union all
         select id from audit_entries where actor_id = ? and target_type is distinct from 'user'
       )`,
      [id, id],
    );
    await em.execute(
      `update audit_details set address = null
       where address is not null and entry_id in (select id from audit_entries where actor_id = ?)`,
      [id],
    );
  }

  /** In two halves, as each has its index. */
  private async page(id: string, last: EntryRow | undefined, limit: number): Promise<EntryRow[]> {
    const half = (column: 'actor_id' | 'target_id') => sql`
      (select * from audit_entries
       where ${sql.ref(column)} = ${id}
         and ${last ? sql`(created_at, id) > (${last.createdAt}::timestamptz, ${last.id}::uuid)` : sql`true`}
       order by created_at, id limit ${limit})`;
    const { rows } = await sql<EntryRow>`
      select entry.id, actor_kind as "actorKind", actor_id as "actorId", action,
             target_type as "targetType", target_id as "targetId",
             ${isoTime('entry.created_at')} as "createdAt", address, before, after
      from (${half('actor_id')} union ${half('target_id')}) as entry
      left join audit_details on entry_id = entry.id
      order by entry.created_at, entry.id limit ${limit}`.execute(this.em.fork().getKysely());
    return rows;
  }
}

function isAboutOthers(
  { targetType, targetId }: Pick<EntryRow, 'targetType' | 'targetId'>,
  id: string,
) {
  return targetType === 'user' && targetId !== id;
}
