import { z } from 'zod';
import { ACTOR_KINDS } from '../../core/audit/audit-entry.entity.js';
import { pageOf, pageQuery, timeBound } from '../../core/paging.js';
import { text } from '../../core/text.js';

const actorKind = z.enum(ACTOR_KINDS).meta({ id: 'ActorKind' });

export const auditQuery = pageQuery({
  actorKind: actorKind.optional(),
  actorId: z.uuid().optional().describe('The account that acted.'),
  action: text({ min: 1, max: 64 })
    .optional()
    .describe('Such as `session.begun`; `session.` for all that begins so.'),
  targetType: text({ min: 1, max: 32 }).optional().describe('Such as `session`.'),
  targetId: z.uuid().optional(),
  from: timeBound.optional().describe('The earliest time, itself included.'),
  to: timeBound.optional().describe('The end of the time, itself not included.'),
});

export type AuditQuery = z.output<typeof auditQuery>;

const changes = z.record(z.string(), z.unknown()).nullable();

const auditEntrySchema = z
  .object({
    id: z.uuid(),
    actor: z.object({
      kind: actorKind,
      id: z.uuid().nullable().describe('The account, when the actor is a user.'),
    }),
    action: z.string(),
    target: z.object({ type: z.string(), id: z.uuid().nullable() }).nullable(),
    requestId: z.string().nullable(),
    address: z
      .string()
      .nullable()
      .describe('The IP address of the request; null also once it has been erased.'),
    before: changes,
    after: changes,
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'AuditEntry' });

export const auditPageSchema = pageOf(auditEntrySchema).meta({ id: 'AuditPage' });

export type AuditEntryAnswer = z.output<typeof auditEntrySchema>;
