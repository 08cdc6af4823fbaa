import { z } from 'zod';
import { text } from '../../core/text.js';
import { newPassword, ownPassword } from '../passwords/password.schema.js';
import { refreshIn } from '../sign-in/sign-in.schema.js';
import type { StudioMember } from '../users/studio.entity.js';
import type { User } from '../users/user.entity.js';
import {
  languageTag,
  presentStudio,
  presentUser,
  studioSchema,
  userSchema,
} from '../users/user.schema.js';

/** An account, as its owner sees it. */
export const meSchema = userSchema
  .extend({
    hasPassword: z
      .boolean()
      .describe('Without one, what asks for it asks for a new sign-in instead.'),
    studios: z.array(studioSchema).describe('Where you work, the first joined first.'),
  })
  .meta({ id: 'Me' });

/** A name, or null for none; an empty one is none. */
const name = text({ max: 200 })
  .transform((value) => (value === '' ? null : value))
  .nullable()
  .describe('Null for none.');

/** What one may change of one's account. Fields that are left out stay as they are. */
export const profileChangesSchema = z
  .strictObject({
    firstName: name.optional(),
    lastName: name.optional(),
    language: languageTag.optional().describe('A language tag of BCP 47.'),
  })
  .meta({ id: 'ProfileChanges' });

export const changePasswordSchema = z
  .strictObject({
    currentPassword: ownPassword,
    newPassword: newPassword(1).describe('At least `PASSWORD_MIN_LENGTH` characters.'),
    refreshIn,
  })
  .meta({ id: 'ChangePassword' });

export const deleteAccountSchema = z
  .strictObject({ password: ownPassword })
  .meta({ id: 'DeleteAccount' });

const section = z.array(z.object({}));

/** An export: features that hold anything on the person add a section each. */
export const exportSchema = z
  .object({
    exportedAt: z.iso.datetime(),
    account: meSchema.extend({
      googleId: z.string().nullable(),
      emailVerifiedAt: z.iso.datetime().nullable(),
      updatedAt: z.iso.datetime(),
    }),
    accountTokens: section.describe('Links that you were sent, without what they open.'),
    auditEntries: section.describe('What was done by you, and to your account.'),
    coinTransfers: section.describe('What moved your coins.'),
    deletedImages: section,
    generations: section.describe('What you had models make pictures of.'),
    idempotencyKeys: section,
    images: section.describe('With links to their files.'),
    mails: section.describe('That were sent to you, without their texts.'),
    secondFactors: section.describe('Your authenticator, without its secret.'),
    sessions: section.describe('Where and when you have signed in.'),
    uploads: section.describe('That you have begun, in parts.'),
  })
  .meta({ id: 'PersonalDataExport' });

export type ProfileChanges = z.output<typeof profileChangesSchema>;
export type ChangePassword = z.output<typeof changePasswordSchema>;
export type DeleteAccount = z.output<typeof deleteAccountSchema>;

/** @param memberships with their studios */
export function presentMe(
  user: User,
  memberships: StudioMember[],
  coins: number,
): z.output<typeof meSchema> {
  return {
    ...presentUser(user, coins),
    hasPassword: user.hasPassword,
    studios: memberships.map(({ studio, role }) => presentStudio(studio, role)),
  };
}
