import { Body, Controller, Get, Patch } from '@nestjs/common';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { studioSchema } from '../users/user.schema.js';
import { CurrentMembership, type Membership } from './membership.js';
import { StudioMembers } from './studio-members.guard.js';
import { type StudioChanges, studioChangesSchema } from './studio.schema.js';
import { StudioService } from './studio.service.js';

/** The studio that the signed-in user works at. */
@Controller('api/v1/studio')
export class StudioController {
  constructor(private readonly studio: StudioService) {}

  @Get()
  @StudioMembers()
  @Operation({
    summary: 'Show your studio',
    answers: { 200: { description: 'The studio, and what you are in it', schema: studioSchema } },
  })
  show(@CurrentMembership() membership: Membership) {
    return this.studio.show(membership);
  }

  @Patch()
  @StudioMembers('OWNER')
  @Operation({
    summary: 'Change the name, the time zone or the language of your studio',
    answers: { 200: { description: 'The studio as it is now', schema: studioSchema } },
    problems: [unsupportedMediaType, validationFailed],
  })
  change(
    @CurrentMembership() membership: Membership,
    @Body({ schema: studioChangesSchema }) changes: StudioChanges,
  ) {
    return this.studio.change(membership, changes);
  }
}
