import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import { PUBLIC_ACCESS, type PublicAccess } from '../../core/http/public.js';
import { RequestLimits } from '../../core/rate-limits/request-limits.js';
import type { AuthenticatedRequest } from './principal.js';
import { bearerTokenOf } from '../tokens/bearer-token.js';
import { AdminToken } from './admin-token.js';
import { Principals, type VerifiedClaims } from './principals.js';
import { VerifiedTokens } from '../tokens/verified-tokens.js';

/** What requests with the `ADMIN_TOKEN` are counted under: as those of one user. */
const ADMIN_TOKEN_SENDER = 'admin-token';

/**
 * Closes every route that does not say `@Public()`.
 *
 * A token is verified once and then remembered until it expires: what was signed stays signed. Only
 * one that is not known goes through passport, which makes five functions for each request that keep
 * it in memory until the next full collection. Its account is asked for each time.
 */
@Injectable()
export class SignedInGuard extends AuthGuard('jwt') {
  private readonly verified = new VerifiedTokens<VerifiedClaims>();

  constructor(
    private readonly reflector: Reflector,
    private readonly principals: Principals,
    private readonly adminToken: AdminToken,
    private readonly limits: RequestLimits,
  ) {
    super();
  }

  override canActivate(context: ExecutionContext) {
    const access = this.reflector.getAllAndOverride<PublicAccess | undefined>(PUBLIC_ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const isAnyone = access === 'anyone-or-user' && request.headers.authorization === undefined;
    if (access === 'anyone' || isAnyone) {
      this.limits.identify(request, undefined);
      return true;
    }
    const adminToken = this.adminToken.judge(request);
    if (adminToken === 'right') return this.enterWithAdminToken(request);
    if (adminToken === 'wrong') return this.refuseAdminToken(request);
    return this.enter(request, context);
  }

  /** What passport tells. Who is refused, {@link enter} decides. */
  override handleRequest<User>(error: unknown, user: User | false): User {
    if (error instanceof Error) throw error;
    return user as User;
  }

  private async enter(request: AuthenticatedRequest, context: ExecutionContext): Promise<true> {
    const token = bearerTokenOf(request) ?? '';
    const claims = this.verified.find(token) ?? (await this.verify(token, context));
    const principal = claims && (await this.principals.find(claims));
    this.limits.identify(request, principal ? principal.userId : undefined);
    if (!principal) throw notSignedIn();
    request.user = principal;
    return true;
  }

  private async enterWithAdminToken(request: AuthenticatedRequest): Promise<true> {
    this.limits.identify(request, ADMIN_TOKEN_SENDER);
    await this.adminToken.recordUse(request);
    request.hasAdminToken = true;
    return true;
  }

  /** Whoever else it may be: a wrong token is not passed over for another one beside it. */
  private async refuseAdminToken(request: AuthenticatedRequest): Promise<never> {
    this.limits.identify(request, undefined);
    await this.adminToken.countWrong(request);
    throw notSignedIn();
  }

  /**
   * By passport, which leaves on the request what the strategy has found in the token.
   *
   * @returns false when the token is none of ours
   */
  private async verify(token: string, context: ExecutionContext): Promise<VerifiedClaims | false> {
    await super.canActivate(context);
    const request = context.switchToHttp().getRequest<{ user?: VerifiedClaims | false }>();
    const claims = request.user ?? false;
    // Who that is, is not known yet.
    delete request.user;
    if (claims) this.verified.remember(token, claims);
    return claims;
  }
}

function notSignedIn(): Problem {
  return new Problem(unauthenticated, undefined, { headers: { 'www-authenticate': 'Bearer' } });
}
