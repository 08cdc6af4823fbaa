import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Passwords } from '../passwords/passwords.js';
import { User } from '../users/user.entity.js';

/** An account that is to be an administrator's. */
export interface Credentials {
  readonly email: string;
  /** For an account that is new; another one keeps its own. */
  readonly password: string;
}

/** What became of it. `disabled` accounts are left as they are. */
export interface Appointment {
  readonly outcome: 'created' | 'promoted' | 'unchanged' | 'disabled';
  readonly user: User;
}

/** Makes administrators where there may be none yet to do so: for whoever operates the product. */
@Injectable()
export class Administrators {
  constructor(
    private readonly em: EntityManager,
    private readonly passwords: Passwords,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Makes the account of an address an administrator's, or makes one.
   *
   * @throws Problem `validation-failed` when a new account cannot have this password
   */
  async appoint({ email, password }: Credentials): Promise<Appointment> {
    const promoted = await this.promote(email);
    if (promoted) return promoted;
    const user = await this.create({ email, password });
    // Else somebody has registered with it this moment.
    return user ? { outcome: 'created', user } : this.appoint({ email, password });
  }

  /**
   * Makes a new administrator. Whoever names the address answers for it, so that it counts as proved.
   *
   * @returns undefined when the address has an account
   * @throws Problem `validation-failed` when the password cannot be taken
   */
  async create({ email, password }: Credentials): Promise<User | undefined> {
    const passwordHash = await this.passwords.choose(password, 'password');
    const user = new User({ email, passwordHash, isEmailVerified: true });
    user.addRole('ADMIN');
    try {
      await this.em.fork().transactional((em) => {
        em.persist(user);
        this.audit.add(em, {
          actor: { kind: 'system' },
          action: 'user.created',
          target: { type: 'user', id: user.id },
          after: { roles: user.roles },
        });
      });
      return user;
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) return undefined;
      throw error;
    }
  }

  /** Whether an address has an account. */
  async isTaken(email: string): Promise<boolean> {
    return (await this.em.fork().count(User, { email })) > 0;
  }

  /** @returns undefined when the address has no account */
  private promote(email: string): Promise<Appointment | undefined> {
    return this.em.fork().transactional(async (em) => {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      const user = await em.findOne(User, { email }, { lockMode });
      if (!user) return undefined;
      if (user.isDisabled) return { outcome: 'disabled', user };
      if (user.isAdmin) return { outcome: 'unchanged', user };
      const before = { roles: user.roles };
      user.addRole('ADMIN');
      this.audit.add(em, {
        actor: { kind: 'system' },
        action: 'user.role-added',
        target: { type: 'user', id: user.id },
        before,
        after: { roles: user.roles },
      });
      return { outcome: 'promoted', user };
    });
  }
}
