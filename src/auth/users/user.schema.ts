import { z } from 'zod';
import { flag } from '../../core/flag.js';
import { pageQuery } from '../../core/paging.js';
import { text } from '../../core/text.js';
import { type Studio, STUDIO_ROLES, type StudioRole } from './studio.entity.js';
import { ROLES, type User } from './user.entity.js';

/** An e-mail address that someone gives, in the one spelling that is stored. */
export const emailAddress = z
  .string()
  .trim()
  .max(254)
  .toLowerCase()
  .pipe(z.email())
  .describe('Capitals make no difference.');

/** What a person or a studio is called. */
export const displayName = text({ min: 1, max: 200 });

/** A language tag of BCP 47, in its usual spelling: `es`, `pt-BR`. */
export const languageTag = z
  .string()
  .max(35)
  .transform((tag, context) => {
    try {
      return new Intl.Locale(tag).toString();
    } catch {
      context.addIssue({ code: 'custom', message: 'must be a language tag such as en or pt-BR' });
      return z.NEVER;
    }
  })
  .pipe(z.string().max(35));

export const userSchema = z
  .object({
    id: z.uuid(),
    email: z.string(),
    firstName: z.string().nullable(),
    lastName: z.string().nullable(),
    name: z.string().nullable(),
    roles: z.array(z.enum(ROLES)),
    language: z.string(),
    coins: z.int().describe('Coins that can be spent; below 0 it is a debt.'),
    emailVerified: z.boolean(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'User' });

export const studioSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    role: z.enum(STUDIO_ROLES).describe('What the signed-in user is in it.'),
    timezone: z.string(),
    locale: z.string(),
  })
  .meta({ id: 'Studio' });

export type StudioAnswer = z.output<typeof studioSchema>;

/** What accounts can be chosen by; what is absent limits nothing. */
export const userQuery = pageQuery({
  text: text({ min: 1, max: 200 })
    .optional()
    .describe('Part of the e-mail address, of the name, or of the name of a studio, in any case.'),
  role: z.enum(ROLES).optional(),
  disabled: flag().optional().describe('Whether it may not sign in.'),
  verified: flag().optional().describe('Whether the e-mail address was proved.'),
  google: flag().optional().describe('Whether a Google account is linked.'),
});

export type UserQuery = z.output<typeof userQuery>;

/**
 * An account as its owner and administrators see it.
 *
 * @param coins as `Users.coinsOf` tells
 */
export function presentUser(user: User, coins: number): z.output<typeof userSchema> {
  return {
    id: user.id,
    email: user.email,
    firstName: user.firstName ?? null,
    lastName: user.lastName ?? null,
    name: user.name,
    roles: user.roles,
    language: user.language,
    coins,
    emailVerified: user.emailVerifiedAt != null,
    createdAt: user.createdAt.toISOString(),
  };
}

/** A studio as one of its members sees it. */
export function presentStudio(
  { id, name, timezone, locale }: Pick<Studio, 'id' | 'name' | 'timezone' | 'locale'>,
  role: StudioRole,
): StudioAnswer {
  return { id, name, role, timezone, locale };
}
