import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../core/ids.js';

/** What an account may do beyond its own things. */
export const ROLES = ['USER', 'ADMIN'] as const;
export type Role = (typeof ROLES)[number];

/** The language of who has told none. */
const DEFAULT_LANGUAGE = 'en';

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'users',
  comment: 'Accounts of people',
  properties: {
    id: p.uuid().primary(),
    /** Lower case: two capitalisations are one address. */
    email: p.string().length(254).unique(),
    /** Null for who signs in with Google alone. */
    passwordHash: p.string().length(255).nullable().hidden(),
    /** Google's `sub`, which stays when the address changes. */
    googleId: p.string().length(255).nullable().unique(),
    firstName: p.string().length(200).nullable(),
    lastName: p.string().length(200).nullable(),
    roles: p.enum(ROLES).array().default(['USER']),
    /** An IETF language tag. */
    language: p.string().length(35).default(DEFAULT_LANGUAGE),
    emailVerifiedAt: p.datetime(3).nullable(),
    disabledAt: p.datetime(3).nullable(),
    /** When the person was erased. The row stays for what points to it, and can never be used again. */
    erasedAt: p.datetime(3).nullable().index(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
  },
  // The newest first: the order in which they are listed.
  indexes: [{ properties: ['createdAt', 'id'] }],
  checks: [
    { name: 'users_email_lower_case', expression: 'email = lower(email)' },
    {
      name: 'users_erased_is_nobody',
      expression: `erased_at is null or (disabled_at is not null and email = 'erased:' || id::text
        and num_nonnulls(password_hash, google_id, first_name, last_name, email_verified_at) = 0)`,
    },
  ],
});

/** What a new account is made of. */
interface NewUser {
  email: string;
  passwordHash?: string | null;
  googleId?: string | null;
  firstName?: string | null;
  lastName?: string | null;
  language?: string;
  /** Whether somebody we trust has seen that the address is theirs. */
  isEmailVerified?: boolean;
}

/** What the owner of an account may say of themselves. */
interface ProfileChanges {
  firstName?: string | null | undefined;
  lastName?: string | null | undefined;
  language?: string | undefined;
}

export class User extends UserSchema.class {
  constructor({
    email,
    passwordHash = null,
    googleId = null,
    firstName = null,
    lastName = null,
    language = DEFAULT_LANGUAGE,
    isEmailVerified = false,
  }: NewUser) {
    super();
    this.id = newId();
    this.email = email.toLowerCase();
    this.passwordHash = passwordHash;
    this.googleId = googleId;
    this.firstName = firstName;
    this.lastName = lastName;
    this.roles = ['USER'];
    this.language = language;
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
    this.emailVerifiedAt = isEmailVerified ? this.createdAt : null;
  }

  /** First and last name as far as they are known; null when neither is. */
  get name(): string | null {
    return [this.firstName, this.lastName].filter(Boolean).join(' ') || null;
  }

  hasRole(role: Role): boolean {
    return this.roles.includes(role);
  }

  get isAdmin(): boolean {
    return this.hasRole('ADMIN');
  }

  addRole(role: Role): void {
    if (!this.hasRole(role)) this.roles = [...this.roles, role];
  }

  removeRole(role: Role): void {
    this.roles = this.roles.filter((each) => each !== role);
  }

  /** Changes what its owner may say of it; what is left out stays. */
  changeProfile(changes: ProfileChanges): void {
    Object.assign(this, changes);
  }

  /** Whether somebody can sign in with a password. */
  get hasPassword(): boolean {
    return this.passwordHash != null;
  }

  /**
   * Leaves of the account what points to it needs: that it was there. Nobody can sign in to it, its
   * address is none that mail has, and the one that it had is free.
   */
  erase(): void {
    this.email = `erased:${this.id}`;
    this.passwordHash = null;
    this.googleId = null;
    this.firstName = null;
    this.lastName = null;
    this.roles = ['USER'];
    this.language = DEFAULT_LANGUAGE;
    this.emailVerifiedAt = null;
    this.disabledAt = new Date();
    this.erasedAt = this.disabledAt;
  }

  get isDisabled(): boolean {
    return this.disabledAt != null;
  }

  /** Whoever does it ends its sessions in the same transaction. */
  disable(): void {
    this.disabledAt ??= new Date();
  }

  enable(): void {
    this.disabledAt = null;
  }
}
UserSchema.setClass(User);
