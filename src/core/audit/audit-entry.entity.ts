import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../ids.js';

/** Who does what is recorded: an account, whoever holds the `ADMIN_TOKEN`, a stranger, the product. */
export const ACTOR_KINDS = ['user', 'admin-token', 'anonymous', 'system'] as const;
export type ActorKind = (typeof ACTOR_KINDS)[number];

const AuditEntrySchema = defineEntity({
  name: 'AuditEntry',
  tableName: 'audit_entries',
  comment: 'append-only: changes by administrators and security events, by ids alone',
  properties: {
    id: p.uuid().primary(),
    actorKind: p.enum(ACTOR_KINDS),
    /** No foreign key: the entry outlives the account. */
    actorId: p.uuid().nullable(),
    /** What was done, such as `user.role-added`. */
    action: p.string().length(64),
    /** Of what kind the target is, such as `user`. */
    targetType: p.string().length(32).nullable(),
    targetId: p.uuid().nullable(),
    requestId: p.string().length(100).nullable(),
    createdAt: p.datetime(3).index(),
  },
  indexes: [
    { properties: ['actorId', 'createdAt'] },
    { properties: ['targetId', 'createdAt'] },
    { properties: ['action', 'createdAt'] },
  ],
});

/** What an {@link AuditEntry} says. */
export interface AuditFacts {
  actorKind: ActorKind;
  actorId: string | null;
  action: string;
  targetType: string | null;
  targetId: string | null;
  requestId: string | null;
}

/** One event. It holds ids only, and neither it nor the running product can change or delete it. */
export class AuditEntry extends AuditEntrySchema.class {
  constructor(facts: AuditFacts) {
    super();
    this.id = newId();
    Object.assign(this, facts);
    this.createdAt = new Date();
  }
}
AuditEntrySchema.setClass(AuditEntry);

const AuditDetailsSchema = defineEntity({
  name: 'AuditDetails',
  tableName: 'audit_details',
  comment: 'What of audit entries is about persons: erasure empties it',
  properties: {
    entry: () => p.oneToOne(AuditEntry).primary(),
    /** The IP address of the request. */
    address: p.string().length(45).nullable(),
    before: p.json<Record<string, unknown>>().nullable(),
    after: p.json<Record<string, unknown>>().nullable(),
  },
});

/** The erasable part of an {@link AuditEntry}; without secrets. */
export class AuditDetails extends AuditDetailsSchema.class {
  constructor(
    entry: AuditEntry,
    { address, before, after }: Pick<AuditDetails, 'address' | 'before' | 'after'>,
  ) {
    super();
    this.entry = entry;
    this.address = address ?? null;
    this.before = before ?? null;
    this.after = after ?? null;
  }
}
AuditDetailsSchema.setClass(AuditDetails);
