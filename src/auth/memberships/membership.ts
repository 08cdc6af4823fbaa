import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { AuthenticatedRequest } from '../access/principal.js';
import type { StudioRole } from '../users/studio.entity.js';

/** Who acts in which studio, and as what, as it stood in the database when the request came. */
export interface Membership {
  readonly studioId: string;
  readonly userId: string;
  readonly role: StudioRole;
}

export type MemberRequest = AuthenticatedRequest & { membership?: Membership };

/** As what the signed-in user acts, on a route that is closed to members of a studio. */
export const CurrentMembership = createParamDecorator(
  (_: unknown, context: ExecutionContext): Membership => {
    const { membership } = context.switchToHttp().getRequest<MemberRequest>();
    if (!membership) throw new Error('CurrentMembership on a route without StudioMembers');
    return membership;
  },
);
