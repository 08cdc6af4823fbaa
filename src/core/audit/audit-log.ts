import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { currentClient, currentRequestId } from '../request-context.js';
import { type ActorKind, AuditDetails, AuditEntry } from './audit-entry.entity.js';

/** Who acts. */
export type Actor =
  { readonly kind: 'user'; readonly id: string } | { readonly kind: Exclude<ActorKind, 'user'> };

/** Something that is worth remembering. */
export interface AuditEvent {
  readonly actor: Actor;
  /** A stable name in two parts, in kebab-case: `session.begun`. */
  readonly action: string;
  readonly target?: { readonly type: string; readonly id: string };
  /** What changed, without secrets. */
  readonly before?: Record<string, unknown>;
  readonly after?: Record<string, unknown>;
}

/**
 * Remembers security events and changes by administrators: with the request that caused them, and
 * where it came from.
 */
@Injectable()
export class AuditLog {
  constructor(private readonly em: EntityManager) {}

  /** Adds an entry to what an EntityManager is about to commit, so that neither is without the other. */
  add(em: EntityManager, event: AuditEvent): void {
    em.persist(this.describe(event));
  }

  /** What {@link add} adds, for who inserts it otherwise. */
  describe({ actor, action, target, before, after }: AuditEvent): AuditDetails {
    const entry = new AuditEntry({
      actorKind: actor.kind,
      actorId: actor.kind === 'user' ? actor.id : null,
      action,
      targetType: target?.type ?? null,
      targetId: target?.id ?? null,
      requestId: currentRequestId() ?? null,
    });
    const address = currentClient()?.address ?? null;
    return new AuditDetails(entry, { address, before: before ?? null, after: after ?? null });
  }

  /** Remembers what changed nothing else, such as a failed sign-in. */
  async record(event: AuditEvent): Promise<void> {
    const em = this.em.fork();
    this.add(em, event);
    await em.flush();
  }

  /**
   * Empties what is known besides ids of everything that was done to things that are erased, in the
   * transaction of `em`.
   */
  async forgetTargets(em: EntityManager, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await em.execute(
      `delete from audit_details where entry_id in (
         select id from audit_entries where target_id = any (?::uuid[])
       )`,
      [`{${ids.join()}}`],
    );
  }
}
