import { z } from 'zod';
import { givenId } from '../../core/ids.js';
import { pageOf, pageQuery } from '../../core/paging.js';
import { type StudioMember, STUDIO_ROLES } from '../users/studio.entity.js';
import type { User } from '../users/user.entity.js';

const studioRole = z.enum(STUDIO_ROLES);

export const memberSchema = z
  .object({
    userId: z.uuid(),
    email: z.string(),
    name: z.string().nullable(),
    role: studioRole.describe('What they are in the studio.'),
    joinedAt: z.iso.datetime(),
  })
  .meta({ id: 'StudioMember' });

export const memberPageSchema = pageOf(memberSchema).meta({ id: 'StudioMemberPage' });

export const memberQuery = pageQuery({});

export const memberParams = z.object({ userId: givenId });

export const memberChangesSchema = z
  .strictObject({ role: studioRole })
  .meta({ id: 'StudioMemberChanges' });

export type MemberAnswer = z.output<typeof memberSchema>;
export type MemberQuery = z.output<typeof memberQuery>;
export type MemberChanges = z.output<typeof memberChangesSchema>;

/** A member as those who work with them see them. */
export function presentMember({ role, createdAt }: StudioMember, user: User): MemberAnswer {
  const { id: userId, email, name } = user;
  return { userId, email, name, role, joinedAt: createdAt.toISOString() };
}
