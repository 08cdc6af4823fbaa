import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import { User } from '../users/user.entity.js';
import { Users } from '../users/users.service.js';
import type { GoogleIdentity } from './google-identity.js';
import { accountDisabled, emailMissing, emailUnverified, linkRequired } from './google.problems.js';

/** The accounts that Google accounts open. */
@Injectable()
export class GoogleAccounts {
  constructor(
    private readonly em: EntityManager,
    private readonly users: Users,
    private readonly audit: AuditLog,
  ) {}

  /**
   * The account that a Google account opens: the one that is linked with it; else the one of the same
   * address, which is linked now, when both sides have seen that the address is theirs; else a new one.
   *
   * Unique constraints decide between requests that come at once: the later one looks again.
   *
   * @throws Problem `email-missing`, `email-unverified`, `link-required`, `account-disabled`
   */
  async findOrCreate(google: GoogleIdentity): Promise<User> {
    const known = await this.users.findByGoogleId(google.googleId);
    if (known) return known;
    const email = provedEmailOf(google);
    const owner = await this.users.findByEmail(email);
    try {
      return owner
        ? await this.linkOwner(owner.id, email, google)
        : await this.create(email, google);
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) return this.findOrCreate(google);
      throw error;
    }
  }

  /**
   * Whoever has registered with an address need not be who reads mail there, so an account that has
   * not proved its own is linked with nobody.
   */
  private linkOwner(id: string, email: string, { googleId }: GoogleIdentity): Promise<User> {
    return this.em.transactional(async (em) => {
      const user = await em.findOne(
        User,
        { id, email },
        { lockMode: LockMode.PESSIMISTIC_WRITE, refresh: true },
      );
      // Made by a first sign-in that came at the same time.
      if (user?.googleId === googleId) return user;
      if (user?.isDisabled) throw new Problem(accountDisabled);
      if (user?.emailVerifiedAt == null || user.googleId != null) throw new Problem(linkRequired);
      user.googleId = googleId;
      this.rememberLink(em, user, 'verified-email');
      return user;
    });
  }

  private async create(email: string, google: GoogleIdentity): Promise<User> {
    const { googleId, firstName, lastName, language } = google;
    const user = new User({
      ...{ email, googleId, firstName, lastName, isEmailVerified: true },
      ...(language !== null && { language }),
    });
    await this.em.transactional((em) => {
      em.persist(user);
      this.rememberLink(em, user, 'first-sign-in');
    });
    return user;
  }

  private rememberLink(em: EntityManager, { id, googleId }: User, by: string): void {
    this.audit.add(em, {
      actor: { kind: 'user', id },
      action: 'google.linked',
      target: { type: 'user', id },
      after: { by, googleId },
    });
  }
}

/** @throws Problem `email-missing`, `email-unverified` */
function provedEmailOf({ email, isEmailVerified }: GoogleIdentity): string {
  if (email === null) throw new Problem(emailMissing);
  if (!isEmailVerified) throw new Problem(emailUnverified);
  return email;
}
