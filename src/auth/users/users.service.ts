import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { ReadDatabase } from '../../core/database/read-database.js';
import type { Page } from '../../core/paging.js';
import { notFound, Problem } from '../../core/problems/problem.js';
import type { GoogleIdentity } from '../google/google-identity.js';
import {
  accountDisabled,
  emailMissing,
  emailUnverified,
  linkRequired,
} from '../google/google.problems.js';
import { StudioMember } from './studio.entity.js';
import { User } from './user.entity.js';
import { listUsers } from './user.queries.js';
import type { UserQuery } from './user.schema.js';

/** Accounts, by what they are known by. */
@Injectable()
export class Users {
  constructor(
    private readonly em: EntityManager,
    private readonly lists: ReadDatabase,
    private readonly audit: AuditLog,
  ) {}

  findById(id: string): Promise<User | null> {
    return this.em.findOne(User, { id });
  }

  /** @param email in any capitalisation */
  findByEmail(email: string): Promise<User | null> {
    return this.em.findOne(User, { email: email.toLowerCase() });
  }

  /** @param googleId Google's `sub` */
  findByGoogleId(googleId: string): Promise<User | null> {
    return this.em.findOne(User, { googleId });
  }

  /** @throws Problem `not-found`, also of who was erased */
  async get(id: string): Promise<User> {
    const user = await this.em.findOne(User, { id, erasedAt: null });
    if (!user) throw new Problem(notFound);
    return user;
  }

  /** A page of accounts, the newest first. */
  async list(query: UserQuery): Promise<Page<User>> {
    const page = await this.lists.read((server) => listUsers(server, query));
    return { ...page, items: page.items.map((row) => this.em.map(User, row)) };
  }

  /** The studios that somebody works at, with what they are there; the one joined first comes first. */
  membershipsOf(user: User) {
    return this.em.find(
      StudioMember,
      { user },
      { populate: ['studio'], orderBy: { createdAt: 'asc', studio: 'asc' } },
    );
  }

  /**
   * The account that a Google account opens: the one that is linked with it; else the one of the same
   * address, which is linked now, when both sides have seen that the address is theirs; else a new one.
   *
   * Unique constraints decide between requests that come at once: the later one looks again.
   *
   * @throws Problem `email-missing`, `email-unverified`, `link-required`, `account-disabled`
   */
  async findOrCreateByGoogle(google: GoogleIdentity): Promise<User> {
    const known = await this.findByGoogleId(google.googleId);
    if (known) return known;
    const email = provedEmailOf(google);
    const owner = await this.findByEmail(email);
    try {
      return owner
        ? await this.linkOwner(owner.id, email, google)
        : await this.createByGoogle(email, google);
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) {
        return this.findOrCreateByGoogle(google);
      }
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

  private async createByGoogle(email: string, google: GoogleIdentity): Promise<User> {
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
