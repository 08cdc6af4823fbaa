import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { type Actor, AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import { AccountTokens } from '../mail/account-tokens.js';
import { Sessions } from '../sessions/sessions.service.js';
import type { Role, User } from '../users/user.entity.js';
import { isSelf, lockGoverned } from '../users/user-lock.js';
import { ownAccount, ownAdminRole } from './user-administration.problems.js';

/** A change of an account, and how it stood before. */
interface Change {
  readonly action: string;
  readonly before: Record<string, unknown>;
  readonly after: Record<string, unknown>;
}

/**
 * What administrators change of accounts. What is so already is no change, and is not audited.
 *
 * Each change is one transaction that holds the account, and who acts, if that is an account: so they
 * are still an administrator, and stay one. Of two who take the role from each other one comes first,
 * and the other is refused.
 */
@Injectable()
export class UserAdministration {
  constructor(
    private readonly em: EntityManager,
    private readonly sessions: Sessions,
    private readonly tokens: AccountTokens,
    private readonly audit: AuditLog,
  ) {}

  /** @throws Problem `not-found`, `forbidden` */
  async addRole(actor: Actor, id: string, role: Role): Promise<void> {
    await this.change(actor, id, (_em, user) => {
      if (user.hasRole(role)) return undefined;
      const before = { roles: user.roles };
      user.addRole(role);
      return { action: 'user.role-added', before, after: { roles: user.roles } };
    });
  }

  /** @throws Problem `not-found`, `forbidden`; `own-admin-role` when it is who acts */
  async removeRole(actor: Actor, id: string, role: Role): Promise<void> {
    if (role === 'ADMIN' && isSelf(actor, id)) throw new Problem(ownAdminRole);
    await this.change(actor, id, (_em, user) => {
      if (!user.hasRole(role)) return undefined;
      const before = { roles: user.roles };
      user.removeRole(role);
      return { action: 'user.role-removed', before, after: { roles: user.roles } };
    });
  }

  /**
   * Lets an account in nowhere any more: its sessions end, and what it was sent by mail is worth
   * nothing, also when it is enabled again.
   *
   * @throws Problem `not-found`, `forbidden`; `own-account` when it is who acts
   */
  async disable(actor: Actor, id: string): Promise<void> {
    if (isSelf(actor, id)) throw new Problem(ownAccount);
    await this.change(actor, id, async (em, user) => {
      if (user.isDisabled) return undefined;
      user.disable();
      await this.tokens.revokeAll(em, user);
      await this.sessions.endAllIn(em, id, 'account-disabled', actor);
      return disabling(null, user.disabledAt);
    });
  }

  /** @throws Problem `not-found`, `forbidden` */
  async enable(actor: Actor, id: string): Promise<void> {
    await this.change(actor, id, (_em, user) => {
      if (!user.isDisabled) return undefined;
      const { disabledAt } = user;
      user.enable();
      return disabling(disabledAt, null);
    });
  }

  /** Ends all sessions of an account, as far as there are any. @throws Problem `not-found`, `forbidden` */
  async endSessions(actor: Actor, id: string): Promise<void> {
    await this.change(actor, id, async (em) => {
      // What it ends, it audits.
      await this.sessions.endAllIn(em, id, 'ended-by-admin', actor);
      return undefined;
    });
  }

  private async change(
    actor: Actor,
    id: string,
    work: (em: EntityManager, user: User) => Change | undefined | Promise<Change | undefined>,
  ): Promise<void> {
    await this.em.fork().transactional(async (em) => {
      const user = await lockGoverned(em, actor, id);
      const change = await work(em, user);
      if (change) this.audit.add(em, { actor, target: { type: 'user', id }, ...change });
    });
  }
}

function disabling(before: Date | null | undefined, after: Date | null | undefined): Change {
  return {
    action: after ? 'user.disabled' : 'user.enabled',
    before: { disabledAt: before ?? null },
    after: { disabledAt: after ?? null },
  };
}
