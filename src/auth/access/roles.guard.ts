import {
  applyDecorators,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  SetMetadata,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Problems } from '../../core/openapi/openapi.js';
import { Described } from '../../core/openapi/openapi-decorators.js';
import { forbidden, Problem } from '../../core/problems/problem.js';
import type { Role } from '../users/user.entity.js';
import type { AuthenticatedRequest } from './principal.js';

const REQUIRED_ROLES = 'auth:roles';

/** For the OpenAPI document: either of them will do. */
const ADMIN_SECURITY = [{ bearer: [] }, { adminToken: [] }];

/**
 * Closes a route, or all of a controller, to accounts that have none of these roles. The `ADMIN_TOKEN`,
 * where it is looked at, stands for an administrator.
 */
export function Roles(...roles: Role[]) {
  const security = roles.includes('ADMIN') ? ADMIN_SECURITY : [{ bearer: [] }];
  return applyDecorators(
    SetMetadata(REQUIRED_ROLES, roles),
    Described(({ DECORATORS }) => SetMetadata(DECORATORS.API_SECURITY, security)),
    Problems(forbidden),
  );
}

/** Comes after the guard that finds who is signed in: roles are those of the account as it is now. */
@Injectable()
export class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const required = this.reflector.getAllAndOverride<Role[] | undefined>(REQUIRED_ROLES, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (!required) return true;
    const { user, hasAdminToken } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (hasAdminToken && required.includes('ADMIN')) return true;
    if (user && required.some((role) => user.roles.includes(role))) return true;
    throw new Problem(forbidden);
  }
}
