import { z } from 'zod';
import type { Session } from '../../auth/sessions/session.entity.js';
import { sessionSchema } from '../../auth/sessions/session.schema.js';
import type { SessionSummary } from '../../auth/sessions/sessions.service.js';
import type { StudioMember } from '../../auth/users/studio.entity.js';
import { ROLES, type User } from '../../auth/users/user.entity.js';
import {
  presentStudio,
  presentUser,
  studioSchema,
  userSchema,
} from '../../auth/users/user.schema.js';
import { givenId } from '../../core/ids.js';
import { pageOf } from '../../core/paging.js';

const adminUserSchema = userSchema
  .extend({
    disabledAt: z.iso.datetime().nullable().describe('Since when it may not sign in.'),
    emailVerifiedAt: z.iso.datetime().nullable(),
    hasPassword: z.boolean(),
    hasGoogle: z.boolean().describe('Whether a Google account is linked.'),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'AdminUser' });

export const adminUserPageSchema = pageOf(adminUserSchema).meta({ id: 'AdminUserPage' });

export const adminUserDetailsSchema = adminUserSchema
  .extend({
    studios: z.array(studioSchema),
    liveSessions: z.int().min(0).describe('On how many devices it is signed in.'),
    lastUsedAt: z.iso
      .datetime()
      .nullable()
      .describe('When it last signed in or refreshed, as far as its sessions are remembered.'),
  })
  .meta({ id: 'AdminUserDetails' });

/** {@link sessionSchema} as others than its owner see it. */
const adminSessionSchema = sessionSchema.omit({ isCurrent: true }).meta({ id: 'AdminSession' });

export const adminSessionPageSchema = pageOf(adminSessionSchema).meta({ id: 'AdminSessionPage' });

export const userParams = z.strictObject({ id: givenId });

export const roleSchema = z.strictObject({ role: z.enum(ROLES) }).meta({ id: 'RoleToAdd' });

export type RoleToAdd = z.output<typeof roleSchema>;

/** Every account is a USER, and stays one. */
export const userRoleParams = userParams.extend({ role: z.enum(ROLES).exclude(['USER']) });

export type UserRoleParams = z.output<typeof userRoleParams>;

type AdminUserAnswer = z.output<typeof adminUserSchema>;
type AdminUserDetails = z.output<typeof adminUserDetailsSchema>;
type AdminSessionAnswer = z.output<typeof adminSessionSchema>;

/** An account as administrators see it in a list. */
export function presentAdminUser(user: User, coins: number): AdminUserAnswer {
  return {
    ...presentUser(user, coins),
    disabledAt: user.disabledAt?.toISOString() ?? null,
    emailVerifiedAt: user.emailVerifiedAt?.toISOString() ?? null,
    hasPassword: user.passwordHash != null,
    hasGoogle: user.googleId != null,
    updatedAt: user.updatedAt.toISOString(),
  };
}

/** An account with where it belongs and how it is used. */
export function presentAdminUserDetails(
  user: User,
  coins: number,
  memberships: readonly StudioMember[],
  { live, lastUsedAt }: SessionSummary,
): AdminUserDetails {
  return {
    ...presentAdminUser(user, coins),
    studios: memberships.map(({ studio, role }) => presentStudio(studio, role)),
    liveSessions: live,
    lastUsedAt,
  };
}

/** A session as administrators see it. */
export function presentAdminSession(session: Session): AdminSessionAnswer {
  return {
    id: session.id,
    device: session.device ?? null,
    address: session.address ?? null,
    createdAt: session.createdAt.toISOString(),
    lastUsedAt: session.lastUsedAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
  };
}
