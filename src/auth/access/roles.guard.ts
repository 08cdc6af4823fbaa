import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { forbidden, Problem } from '../../core/problems/problem.js';
import type { Role } from '../users/user.entity.js';
import type { AuthenticatedRequest } from './principal.js';

const REQUIRED_ROLES = 'auth:roles';

/** Closes a route, or all of a controller, to accounts that have none of these roles. */
export function Roles(...roles: Role[]) {
  return SetMetadata(REQUIRED_ROLES, roles);
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
    const { user } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (user && required.some((role) => user.roles.includes(role))) return true;
    throw new Problem(forbidden);
  }
}
