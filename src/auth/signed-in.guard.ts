import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import { Problem, unauthenticated } from '../core/problems/problem.js';
import { PUBLIC_ACCESS, type PublicAccess } from '../core/http/public.js';
import type { AuthenticatedRequest, Principal } from './access.js';
import { bearerTokenOf } from './bearer-token.js';
import { Principals, type VerifiedClaims } from './principals.js';

/**
 * Closes every route that does not say `@Public()`.
 *
 * Only a token that is not known goes through passport, which makes five functions for each request
 * that keep it in memory until the next full collection.
 */
@Injectable()
export class SignedInGuard extends AuthGuard('jwt') {
  constructor(
    private readonly reflector: Reflector,
    private readonly principals: Principals,
  ) {
    super();
  }

  override canActivate(context: ExecutionContext) {
    const access = this.reflector.getAllAndOverride<PublicAccess | undefined>(PUBLIC_ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (access === 'anyone') return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (access === 'anyone-or-user' && request.headers.authorization === undefined) return true;
    const claims = this.principals.verified.find(bearerTokenOf(request) ?? '');
    return claims ? this.enter(request, claims) : super.canActivate(context);
  }

  override handleRequest<User>(error: unknown, user: User | false): User {
    if (error instanceof Error) throw error;
    if (!user) {
      throw new Problem(unauthenticated, undefined, { headers: { 'www-authenticate': 'Bearer' } });
    }
    return user;
  }

  private async enter(request: AuthenticatedRequest, claims: VerifiedClaims): Promise<true> {
    request.user = this.handleRequest<Principal>(undefined, await this.principals.find(claims));
    return true;
  }
}
