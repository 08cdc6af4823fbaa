import { z } from 'zod';
import { newPassword, ownPassword } from '../passwords/password.schema.js';
import { emailAddress } from '../users/user.schema.js';

/** Long enough for any that we make; what is none of ours is `invalid-token`, whatever its shape. */
const token = z.string().min(1).max(200).describe('From the fragment of the link in the mail.');

export const verifyEmailSchema = z.strictObject({ token }).meta({ id: 'VerifyEmail' });

export const forgotPasswordSchema = z
  .strictObject({ email: emailAddress })
  .meta({ id: 'ForgotPassword' });

export const resetPasswordSchema = z
  .strictObject({
    token,
    password: newPassword(1).describe('At least `PASSWORD_MIN_LENGTH` characters.'),
  })
  .meta({ id: 'ResetPassword' });

export const changeEmailSchema = z
  .strictObject({
    email: emailAddress,
    password: ownPassword,
  })
  .meta({ id: 'ChangeEmail' });

export const confirmEmailSchema = z.strictObject({ token }).meta({ id: 'ConfirmEmail' });

/** The same for all, so that nobody learns from it which addresses have an account. */
export const mailAcceptedSchema = z
  .object({ status: z.literal('accepted') })
  .meta({ id: 'MailAccepted' });

export type VerifyEmail = z.output<typeof verifyEmailSchema>;
export type ForgotPassword = z.output<typeof forgotPasswordSchema>;
export type ResetPassword = z.output<typeof resetPasswordSchema>;
export type ChangeEmail = z.output<typeof changeEmailSchema>;
export type ConfirmEmail = z.output<typeof confirmEmailSchema>;

export const MAIL_ACCEPTED: z.output<typeof mailAcceptedSchema> = { status: 'accepted' };
