import { defineEntity, p } from '@mikro-orm/core';

const IdempotencyKeySchema = defineEntity({
  name: 'IdempotencyKey',
  tableName: 'idempotency_keys',
  comment: 'Answers of POST requests that carried an Idempotency-Key, kept for 24 hours',
  properties: {
    /** The account that sent the key. No foreign key: core knows no table of a feature. */
    ownerId: p.uuid().primary(),
    route: p.string().length(100).primary(),
    key: p.string().length(255).primary(),
    /** SHA-256 over what was asked, in hex. */
    fingerprint: p.string().length(64),
    leaseId: p.uuid(),
    leasedUntil: p.datetime(3),
    /** HTTP status of the stored answer; null while the request runs. */
    status: p.smallint().nullable(),
    body: p.json<unknown>().nullable(),
    createdAt: p.datetime(3).index(),
  },
});

/**
 * What a request with an Idempotency-Key asked, and, once it has ended well, was answered. Until then
 * it is held by a lease, and belongs to nobody when that has run out. One that failed leaves no row.
 */
export class IdempotencyKey extends IdempotencyKeySchema.class {}
IdempotencyKeySchema.setClass(IdempotencyKey);
