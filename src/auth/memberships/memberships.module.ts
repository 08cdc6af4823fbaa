import { Module } from '@nestjs/common';
import { MembersController } from './members.controller.js';
import { MembersService } from './members.service.js';
import { Memberships } from './memberships.js';
import { StudioController } from './studio.controller.js';
import { StudioService } from './studio.service.js';

/** Studios, and who works there. */
@Module({
  controllers: [StudioController, MembersController],
  providers: [Memberships, MembersService, StudioService],
  exports: [Memberships],
})
export class MembershipsModule {}
