import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { CurrentActor } from '../../auth/access/current-actor.js';
import { Roles } from '../../auth/access/roles.guard.js';
import {
  ownAccount,
  ownAdminRole,
} from '../../auth/administration/user-administration.problems.js';
import { UserAdministration } from '../../auth/administration/user-administration.service.js';
import { type SessionQuery, sessionQuery } from '../../auth/sessions/session.schema.js';
import { Sessions } from '../../auth/sessions/sessions.service.js';
import { userQuery, type UserQuery } from '../../auth/users/user.schema.js';
import { Users } from '../../auth/users/users.service.js';
import type { Actor } from '../../core/audit/audit-log.js';
import { Operation } from '../../core/openapi/openapi.js';
import { notFound, unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import {
  adminSessionPageSchema,
  adminUserDetailsSchema,
  adminUserPageSchema,
  presentAdminSession,
  presentAdminUser,
  presentAdminUserDetails,
  roleSchema,
  type RoleToAdd,
  userParams,
  userRoleParams,
  type UserRoleParams,
} from './admin-user.schema.js';

/** What a change of an account answers, also when it was so already. */
const CHANGED = {
  200: { description: 'The account as it is now', schema: adminUserDetailsSchema },
};

/** Accounts: who has one, what they may do, and where they are signed in. */
@Controller('api/v1/admin/users')
@Roles('ADMIN')
export class AdminUsersController {
  constructor(
    private readonly users: Users,
    private readonly sessions: Sessions,
    private readonly administration: UserAdministration,
  ) {}

  @Get()
  @Operation({
    summary: 'List accounts',
    description: 'The newest first.',
    answers: { 200: { description: 'A page of accounts', schema: adminUserPageSchema } },
    problems: [validationFailed],
  })
  async list(@Query({ schema: userQuery }) query: UserQuery) {
    const page = await this.users.list(query);
    const coins = await this.users.coinsOfEach(page.items);
    const items = page.items.map((user) => presentAdminUser(user, coins.get(user.id) ?? 0));
    return { ...page, items };
  }

  @Get(':id')
  @Operation({
    summary: 'Show an account',
    description: 'With its studios, and how it is used.',
    answers: { 200: { description: 'The account', schema: adminUserDetailsSchema } },
    problems: [notFound, validationFailed],
  })
  show(@Param({ schema: userParams }) { id }: { id: string }) {
    return this.present(id);
  }

  @Post(':id/roles')
  @HttpCode(200)
  @Operation({
    summary: 'Give an account a role',
    description: 'It counts from the next request on.',
    answers: CHANGED,
    problems: [notFound, unsupportedMediaType, validationFailed],
  })
  async addRole(
    @CurrentActor() actor: Actor,
    @Param({ schema: userParams }) { id }: { id: string },
    @Body({ schema: roleSchema }) { role }: RoleToAdd,
  ) {
    await this.administration.addRole(actor, id, role);
    return this.present(id);
  }

  @Delete(':id/roles/:role')
  @Operation({
    summary: 'Take a role away',
    description:
      'It is gone with the next request, whatever their access token says. Nobody can do this to ' +
      'themselves; every account stays a `USER`.',
    answers: CHANGED,
    problems: [notFound, ownAdminRole, validationFailed],
  })
  async removeRole(
    @CurrentActor() actor: Actor,
    @Param({ schema: userRoleParams }) { id, role }: UserRoleParams,
  ) {
    await this.administration.removeRole(actor, id, role);
    return this.present(id);
  }

  @Post(':id/disable')
  @HttpCode(200)
  @Operation({
    summary: 'Let an account in no more',
    description:
      'Its sessions end at once, and it can neither sign in nor have its password reset.',
    answers: CHANGED,
    problems: [notFound, ownAccount, validationFailed],
  })
  async disable(
    @CurrentActor() actor: Actor,
    @Param({ schema: userParams }) { id }: { id: string },
  ) {
    await this.administration.disable(actor, id);
    return this.present(id);
  }

  @Post(':id/enable')
  @HttpCode(200)
  @Operation({
    summary: 'Let a disabled account in again',
    description: 'It has to sign in anew.',
    answers: CHANGED,
    problems: [notFound, validationFailed],
  })
  async enable(
    @CurrentActor() actor: Actor,
    @Param({ schema: userParams }) { id }: { id: string },
  ) {
    await this.administration.enable(actor, id);
    return this.present(id);
  }

  @Get(':id/sessions')
  @Operation({
    summary: 'List where an account is signed in',
    answers: { 200: { description: 'The last used first', schema: adminSessionPageSchema } },
    problems: [notFound, validationFailed],
  })
  async listSessions(
    @Param({ schema: userParams }) { id }: { id: string },
    @Query({ schema: sessionQuery }) query: SessionQuery,
  ) {
    await this.users.get(id);
    const page = await this.sessions.listOf(id, query);
    return { ...page, items: page.items.map(presentAdminSession) };
  }

  @Delete(':id/sessions')
  @HttpCode(204)
  @Operation({
    summary: 'Sign an account out everywhere',
    answers: { 204: { description: 'All its sessions are over' } },
    problems: [notFound, validationFailed],
  })
  endSessions(@CurrentActor() actor: Actor, @Param({ schema: userParams }) { id }: { id: string }) {
    return this.administration.endSessions(actor, id);
  }

  private async present(id: string) {
    const user = await this.users.get(id);
    const coins = await this.users.coinsOf(user);
    const memberships = await this.users.membershipsOf(user);
    return presentAdminUserDetails(user, coins, memberships, await this.sessions.summaryOf(id));
  }
}
