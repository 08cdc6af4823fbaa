import { z } from 'zod';
import { text } from '../core/text.js';
import { type Studio, STUDIO_ROLES, type StudioRole } from './studio.entity.js';
import { ROLES, type User } from './user.entity.js';

const MAX_PASSWORD_LENGTH = 128;

const email = z
  .string()
  .trim()
  .max(254)
  .toLowerCase()
  .pipe(z.email())
  .describe('Capitals make no difference.');

/** Lone surrogates are all the same when they become bytes: two passwords would be one. */
const password = z
  .string()
  .max(MAX_PASSWORD_LENGTH)
  .refine((value) => value.isWellFormed(), { error: 'must be well-formed Unicode' });

/**
 * A password that someone chooses, and so one that must be long enough.
 *
 * @param minLength in characters; at most 128 are taken
 */
export function newPassword(minLength: number) {
  return password.min(minLength);
}

export const registerSchema = z
  .strictObject({
    email,
    password: newPassword(1).describe('At least `PASSWORD_MIN_LENGTH` characters.'),
    name: text({ min: 1, max: 200 }).describe('The name of the studio, or of the person.'),
    kind: z
      .enum(['studio', 'personal'])
      .default('studio')
      .describe('`studio` also makes a studio that the account owns.'),
  })
  .meta({ id: 'Register' });

export const loginSchema = z.strictObject({ email, password }).meta({ id: 'Login' });

const userSchema = z
  .object({
    id: z.uuid(),
    email: z.string(),
    firstName: z.string().nullable(),
    lastName: z.string().nullable(),
    name: z.string().nullable(),
    roles: z.array(z.enum(ROLES)),
    language: z.string(),
    coins: z.int().min(0).describe('Coins that can be spent.'),
    emailVerified: z.boolean(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'User' });

const studioSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    role: z.enum(STUDIO_ROLES).describe('What the signed-in user is in it.'),
    timezone: z.string(),
    locale: z.string(),
  })
  .meta({ id: 'Studio' });

export const signInSchema = z
  .object({
    accessToken: z.string().describe('For `Authorization: Bearer`.'),
    tokenType: z.literal('Bearer'),
    expiresIn: z.int().min(1).describe('Seconds.'),
    user: userSchema,
    studio: studioSchema.optional().describe('The studio that the token speaks for.'),
  })
  .meta({ id: 'SignIn' });

export type Register = z.output<typeof registerSchema>;
export type Login = z.output<typeof loginSchema>;
export type SignInAnswer = z.output<typeof signInSchema>;

/** An account as its owner sees it. */
export function presentUser(user: User): z.output<typeof userSchema> {
  return {
    id: user.id,
    email: user.email,
    firstName: user.firstName ?? null,
    lastName: user.lastName ?? null,
    name: user.name,
    roles: user.roles,
    language: user.language,
    // Nobody has coins before there is a ledger to hold them.
    coins: 0,
    emailVerified: user.emailVerifiedAt != null,
    createdAt: user.createdAt.toISOString(),
  };
}

/** A studio as one of its members sees it. */
export function presentStudio(studio: Studio, role: StudioRole): z.output<typeof studioSchema> {
  const { id, name, timezone, locale } = studio;
  return { id, name, role, timezone, locale };
}
