import { Controller, Delete, HttpCode, Param } from '@nestjs/common';
import { CurrentActor } from '../../auth/access/current-actor.js';
import { Roles } from '../../auth/access/roles.guard.js';
import { SecondFactors } from '../../auth/second-factor/second-factors.service.js';
import type { Actor } from '../../core/audit/audit-log.js';
import { Operation } from '../../core/openapi/openapi.js';
import { notFound, validationFailed } from '../../core/problems/problem.js';
import { userParams } from './admin-user.schema.js';

/** The second factors of others, for administrators. */
@Controller('api/v1/admin/users/:id/totp')
@Roles('ADMIN')
export class UserTotpController {
  constructor(private readonly factors: SecondFactors) {}

  @Delete()
  @HttpCode(204)
  @Operation({
    summary: 'Switch two factors off for an account',
    description:
      'For somebody who has lost authenticator and recovery codes: make sure that it is them who ask. ' +
      'They are told by mail. Not for one’s own account.',
    answers: { 204: { description: 'Signing in asks for no code' } },
    problems: [notFound, validationFailed],
  })
  reset(@CurrentActor() actor: Actor, @Param({ schema: userParams }) { id }: { id: string }) {
    return this.factors.reset(actor, id);
  }
}
