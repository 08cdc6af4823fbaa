import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { forbidden, Problem } from '../../core/problems/problem.js';
import type { Role } from '../users/user.entity.js';

/** Who is signed in, as the guards found it in the token and the database. */
export interface Principal {
  readonly userId: string;
  /** The sign-in that this request belongs to. */
  readonly sessionId: string;
  readonly roles: readonly Role[];
  /** The studio that a request is about unless it names another: not whether the user is in it. */
  readonly studioId: string | null;
}

/** A request that the guards have let in: with a user, with the `ADMIN_TOKEN`, or as anyone's. */
export type AuthenticatedRequest = FastifyRequest & {
  user?: Principal;
  /** Whether it brought the `ADMIN_TOKEN`, which is nobody's account: then there is no user. */
  hasAdminToken?: true;
};

/** The signed-in user of a closed route; the `ADMIN_TOKEN` is refused where there has to be one. */
export const CurrentUser = createParamDecorator(
  (_: unknown, context: ExecutionContext): Principal => {
    const { user, hasAdminToken } = context.switchToHttp().getRequest<AuthenticatedRequest>();
    if (hasAdminToken) throw new Problem(forbidden, 'This needs an account: sign in.');
    if (!user) throw new Error('CurrentUser on a route that anyone may use');
    return user;
  },
);

/** The user of a route that anyone may use, when one is signed in. */
export const OptionalUser = createParamDecorator(
  (_: unknown, context: ExecutionContext): Principal | undefined =>
    context.switchToHttp().getRequest<AuthenticatedRequest>().user,
);
