import { z } from 'zod';
import { newPassword, password } from '../passwords/password.schema.js';
import {
  displayName,
  emailAddress,
  languageTag,
  studioSchema,
  userSchema,
} from '../users/user.schema.js';

/** Where a client wants its refresh token. */
export const refreshIn = z
  .enum(['body', 'cookie'])
  .default('body')
  .describe(
    '`cookie`: browsers keep the refresh token where scripts cannot read it, and send it by themselves.',
  );

export const registerSchema = z
  .strictObject({
    email: emailAddress,
    password: newPassword(1).describe('At least `PASSWORD_MIN_LENGTH` characters.'),
    name: displayName.describe('The name of the studio, or of the person.'),
    kind: z
      .enum(['studio', 'personal'])
      .default('studio')
      .describe('`studio` also makes a studio that the account owns.'),
    language: languageTag.optional().describe('A language tag of BCP 47. Default: `en`.'),
    refreshIn,
  })
  .meta({ id: 'Register' });

export const loginSchema = z
  .strictObject({ email: emailAddress, password, refreshIn })
  .meta({ id: 'Login' });

export const refreshTokenSchema = z
  .strictObject({
    refreshToken: z.string().max(1_000).optional().describe('Default: the one in the cookie.'),
  })
  .meta({ id: 'RefreshToken' });

export const signInSchema = z
  .object({
    accessToken: z.string().describe('For `Authorization: Bearer`.'),
    refreshToken: z
      .string()
      .optional()
      .describe('For one `POST /api/v1/auth/refresh`; absent when it is in a cookie.'),
    tokenType: z.literal('Bearer'),
    expiresIn: z.int().min(1).describe('Of the access token, in seconds.'),
    user: userSchema,
    studio: studioSchema.optional().describe('The studio that the token speaks for.'),
  })
  .meta({ id: 'SignIn' });

export type Register = z.output<typeof registerSchema>;
export type Login = z.output<typeof loginSchema>;
export type RefreshTokenBody = z.output<typeof refreshTokenSchema>;
export type RefreshIn = z.output<typeof refreshIn>;
export type SignInAnswer = z.output<typeof signInSchema>;
