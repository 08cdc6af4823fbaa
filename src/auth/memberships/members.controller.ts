import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Query } from '@nestjs/common';
import { Operation } from '../../core/openapi/openapi.js';
import { forbidden, unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import {
  type MemberChanges,
  memberChangesSchema,
  memberPageSchema,
  memberParams,
  memberQuery,
  type MemberQuery,
  memberSchema,
} from './member.schema.js';
import { MembersService } from './members.service.js';
import { CurrentMembership, type Membership } from './membership.js';
import { lastOwner } from './membership.problems.js';
import { StudioMembers } from './studio-members.guard.js';

/** Who works at the studio that the signed-in user works at. */
@Controller('api/v1/studio/members')
export class MembersController {
  constructor(private readonly members: MembersService) {}

  @Get()
  @StudioMembers()
  @Operation({
    summary: 'List who works at your studio',
    answers: { 200: { description: 'The last to join first', schema: memberPageSchema } },
    problems: [validationFailed],
  })
  list(
    @CurrentMembership() membership: Membership,
    @Query({ schema: memberQuery }) query: MemberQuery,
  ) {
    return this.members.list(membership, query);
  }

  @Patch(':userId')
  @StudioMembers('OWNER')
  @Operation({
    summary: 'Make a member an owner, or one of the staff',
    description: 'From their next request on, also with the token that they have.',
    answers: { 200: { description: 'The member as they are now', schema: memberSchema } },
    problems: [lastOwner, unsupportedMediaType, validationFailed],
  })
  changeRole(
    @CurrentMembership() membership: Membership,
    @Param({ schema: memberParams }) { userId }: { userId: string },
    @Body({ schema: memberChangesSchema }) { role }: MemberChanges,
  ) {
    return this.members.changeRole(membership, userId, role);
  }

  @Delete(':userId')
  @HttpCode(204)
  @StudioMembers()
  @Operation({
    summary: 'Let a member go, or leave',
    description: 'Owners let anybody go; everybody may leave, by their own id.',
    answers: {
      204: { description: 'They do not work there any more, from their next request on' },
    },
    problems: [forbidden, lastOwner],
  })
  remove(
    @CurrentMembership() membership: Membership,
    @Param({ schema: memberParams }) { userId }: { userId: string },
  ) {
    return this.members.remove(membership, userId);
  }
}
