import { Controller, Get, Query } from '@nestjs/common';
import { Roles } from '../../auth/access/roles.guard.js';
import { ReadDatabase } from '../../core/database/read-database.js';
import { Operation } from '../../core/openapi/openapi.js';
import type { Page } from '../../core/paging.js';
import { validationFailed } from '../../core/problems/problem.js';
import { listAudit } from './audit.queries.js';
import {
  type AuditEntryAnswer,
  auditPageSchema,
  auditQuery,
  type AuditQuery,
} from './audit.schema.js';

/** What is remembered of security events and of changes by administrators. */
@Controller('api/v1/admin/audit')
@Roles('ADMIN')
export class AuditController {
  constructor(private readonly lists: ReadDatabase) {}

  @Get()
  @Operation({
    summary: 'List what the audit remembers',
    description:
      'The newest first. Nobody can change or delete an entry; its address, `before` and `after` ' +
      'are erased with the person whom they are about.',
    answers: { 200: { description: 'A page of entries', schema: auditPageSchema } },
    problems: [validationFailed],
  })
  list(@Query({ schema: auditQuery }) query: AuditQuery): Promise<Page<AuditEntryAnswer>> {
    return this.lists.read((server) => listAudit(server, query));
  }
}
