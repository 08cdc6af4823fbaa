import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import { Problem, unauthenticated } from '../core/problems/problem.js';
import { PUBLIC_ACCESS, type PublicAccess } from '../core/http/public.js';
import type { AuthenticatedRequest } from './access.js';

/** Closes every route that does not say `@Public()`. */
@Injectable()
export class SignedInGuard extends AuthGuard('jwt') {
  constructor(private readonly reflector: Reflector) {
    super();
  }

  override canActivate(context: ExecutionContext) {
    const access = this.reflector.getAllAndOverride<PublicAccess | undefined>(PUBLIC_ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (access === 'anyone') return true;
    const { headers } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (access === 'anyone-or-user' && headers.authorization === undefined) return true;
    return super.canActivate(context);
  }

  override handleRequest<User>(error: unknown, user: User | false): User {
    if (error instanceof Error) throw error;
    if (!user) {
      throw new Problem(unauthenticated, undefined, { headers: { 'www-authenticate': 'Bearer' } });
    }
    return user;
  }
}
