import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../core/ids.js';

/** What an account may do beyond its own things. */
export const ROLES = ['USER', 'ADMIN'] as const;
export type Role = (typeof ROLES)[number];

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'users',
  comment: 'Accounts of people',
  properties: {
    id: p.uuid().primary(),
    /** Lower case: two capitalisations are one address. */
    email: p.string().length(254).unique(),
    passwordHash: p.string().length(255).nullable().hidden(),
    /** Google's `sub`, which stays when the address changes. */
    googleId: p.string().length(255).nullable().unique(),
    firstName: p.string().length(200).nullable(),
    lastName: p.string().length(200).nullable(),
    roles: p.enum(ROLES).array().default(['USER']),
    /** An IETF language tag. */
    language: p.string().length(35).default('en'),
    emailVerifiedAt: p.datetime(3).nullable(),
    disabledAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3).onUpdate(() => new Date()),
  },
  checks: [{ name: 'users_email_lower_case', expression: 'email = lower(email)' }],
});

export class User extends UserSchema.class {
  constructor({
    email,
    passwordHash,
    firstName = null,
  }: {
    email: string;
    passwordHash: string;
    firstName?: string | null;
  }) {
    super();
    this.id = newId();
    this.email = email.toLowerCase();
    this.passwordHash = passwordHash;
    this.firstName = firstName;
    this.roles = ['USER'];
    this.language = 'en';
    this.createdAt = new Date();
    this.updatedAt = this.createdAt;
  }

  /** First and last name as far as they are known; null when neither is. */
  get name(): string | null {
    return [this.firstName, this.lastName].filter(Boolean).join(' ') || null;
  }
}
UserSchema.setClass(User);
