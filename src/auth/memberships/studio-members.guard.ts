import {
  applyDecorators,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  SetMetadata,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { z } from 'zod';
import { parseOrRefuse } from '../../core/http/validation.js';
import { givenId } from '../../core/ids.js';
import { Problems } from '../../core/openapi/openapi.js';
import { ApiHeader } from '../../core/openapi/openapi-decorators.js';
import { forbidden, notFound, Problem, validationFailed } from '../../core/problems/problem.js';
import type { StudioRole } from '../users/studio.entity.js';
import type { MemberRequest } from './membership.js';
import { noStudio } from './membership.problems.js';
import { Memberships } from './memberships.js';

const REQUIRED_ROLES = 'auth:studio-roles';

const headers = z.object({ 'x-studio-id': givenId.optional() });

/**
 * Closes a route to those who do not work at the studio that it is about.
 *
 * @param roles with any, only members with one of these come in
 */
export function StudioMembers(...roles: StudioRole[]): MethodDecorator {
  return applyDecorators(
    SetMetadata(REQUIRED_ROLES, roles),
    ApiHeader({
      name: 'X-Studio-Id',
      required: false,
      description:
        'Which of your studios the request is about. Default: the one that the access token speaks ' +
        'for, or the only one.',
      schema: { type: 'string', format: 'uuid' },
    }),
    Problems(noStudio, notFound, validationFailed, ...(roles.length > 0 ? [forbidden] : [])),
  );
}

/** Comes after the guards that find who is signed in: what a member may is what the row says now. */
@Injectable()
export class StudioMembersGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly memberships: Memberships,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const roles = this.reflector.get<StudioRole[] | undefined>(
      REQUIRED_ROLES,
      context.getHandler(),
    );
    return !roles || this.enter(context.switchToHttp().getRequest<MemberRequest>(), roles);
  }

  private async enter(request: MemberRequest, roles: StudioRole[]): Promise<true> {
    if (!request.user) throw new Error('StudioMembers on a route that anyone may use');
    const { 'x-studio-id': named } = parseOrRefuse(headers, request.headers, 'headers');
    const membership = await this.memberships.find(request.user, named);
    if (roles.length > 0 && !roles.includes(membership.role)) {
      throw new Problem(forbidden, `Only for members of the studio who are ${roles.join(' or ')}.`);
    }
    request.membership = membership;
    return true;
  }
}
