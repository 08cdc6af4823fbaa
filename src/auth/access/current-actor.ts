import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Actor } from '../../core/audit/audit-log.js';
import type { AuthenticatedRequest } from './principal.js';

/** Who acts on a closed route, as the audit is to remember it. */
export const CurrentActor = createParamDecorator((_: unknown, context: ExecutionContext): Actor => {
  const { user, hasAdminToken } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (hasAdminToken) return { kind: 'admin-token' };
  if (!user) throw new Error('CurrentActor on a route that anyone may use');
  return { kind: 'user', id: user.userId };
});
