import { type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import type { FastifyRequest } from 'fastify';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import { PUBLIC_ACCESS, type PublicAccess } from '../../core/http/public.js';
import { RequestLimits } from '../../core/rate-limits/request-limits.js';
import type { VerifiedClaims } from '../tokens/access-tokens.js';
import { bearerTokenOf } from '../tokens/bearer-token.js';
import { VerifiedTokens } from '../tokens/verified-tokens.js';
import { AdminToken } from './admin-token.js';
import type { AuthenticatedRequest, Principal } from './principal.js';
import { Principals } from './principals.js';

/** What requests with the `ADMIN_TOKEN` are counted under: as those of one user. */
const ADMIN_TOKEN_SENDER = 'admin-token';
/**
 * How many requests with a token may be refused, or go where anyone may, before its session is looked
 * up for their sake: or else the token of a session that is over could use up its user's limit there.
 */
const UNCONFIRMED = 100;

/** What a token says, and how many requests came with it since its session was last found. */
type KnownClaims = VerifiedClaims & { unconfirmed: number };

/**
 * Closes every route that does not say `@Public()`.
 *
 * A token is verified once and then remembered until it expires, or its session is found to be over:
 * what was signed stays signed. Only one that is not known goes through passport, which makes five
 * functions for each request that keep it in memory until the next full collection. Its account is
 * asked for each time. What is remembered tells also whose limit a request counts for.
 */
@Injectable()
export class SignedInGuard extends AuthGuard('jwt') {
  private readonly verified = new VerifiedTokens<KnownClaims>();

  constructor(
    private readonly reflector: Reflector,
    private readonly principals: Principals,
    private readonly adminToken: AdminToken,
    limits: RequestLimits,
  ) {
    super();
    limits.recognizeBy((request) => this.recognize(request));
  }

  override canActivate(context: ExecutionContext) {
    const access = this.reflector.getAllAndOverride<PublicAccess | undefined>(PUBLIC_ACCESS, [
      context.getHandler(),
      context.getClass(),
    ]);
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const isAnyone = access === 'anyone-or-user' && request.headers.authorization === undefined;
    if (access === 'anyone' || isAnyone) return true;
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
    const claims = this.verified.find(token) ?? (await this.verify(context));
    const principal = claims && (await this.confirm(token, claims));
    if (!principal) throw notSignedIn();
    request.user = principal;
    return true;
  }

  private async enterWithAdminToken(request: AuthenticatedRequest): Promise<true> {
    await this.adminToken.recordUse(request);
    request.hasAdminToken = true;
    return true;
  }

  /** Whoever else it may be: a wrong token is not passed over for another one beside it. */
  private async refuseAdminToken(request: AuthenticatedRequest): Promise<never> {
    await this.adminToken.countWrong(request);
    throw notSignedIn();
  }

  /**
   * By passport, which leaves on the request what the strategy has found in the token.
   *
   * @returns false when the token is none of ours
   */
  private async verify(context: ExecutionContext): Promise<KnownClaims | false> {
    await super.canActivate(context);
    const request = context.switchToHttp().getRequest<{ user?: VerifiedClaims | false }>();
    const claims = request.user ?? false;
    // Who that is, is not known yet.
    delete request.user;
    return claims && { ...claims, unconfirmed: 0 };
  }

  /**
   * Looks whether the session of a token lasts. Only then is the token remembered: one of a session
   * that is over counts for whoever sends it.
   */
  private async confirm(token: string, claims: KnownClaims): Promise<Principal | false> {
    const principal = await this.principals.find(claims);
    claims.unconfirmed = 0;
    if (principal) this.verified.remember(token, claims);
    else this.verified.forget(token);
    return principal;
  }

  /** Whose limit a request counts for, if that is known without waiting for anything. */
  private recognize(request: FastifyRequest): string | undefined {
    const adminToken = this.adminToken.judge(request);
    if (adminToken !== 'absent') return adminToken === 'right' ? ADMIN_TOKEN_SENDER : undefined;
    const token = bearerTokenOf(request) ?? '';
    const claims = this.verified.find(token);
    if (!claims) return undefined;
    claims.unconfirmed += 1;
    // While the database is away, it is asked again after as many.
    if (claims.unconfirmed % UNCONFIRMED === 0) this.confirm(token, claims).catch(() => undefined);
    return claims.sub;
  }
}

function notSignedIn(): Problem {
  return new Problem(unauthenticated, undefined, { headers: { 'www-authenticate': 'Bearer' } });
}
