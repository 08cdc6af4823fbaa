import { z } from 'zod';
import { ownPassword } from '../passwords/password.schema.js';
import {
  canonicalCode,
  RECOVERY_CODE,
  RECOVERY_CODES,
} from '../second-factor/codes/recovery-codes.js';
import { TOTP_CODE } from '../second-factor/codes/totp.js';
import { refreshIn } from '../sign-in/sign-in.schema.js';

const MAX_CODE_LENGTH = 50;

/** Spaces and hyphens, with which apps and people group codes, make no difference. */
function codeLike(isCode: (code: string) => boolean, error: string) {
  return z
    .string()
    .max(MAX_CODE_LENGTH)
    .transform(canonicalCode)
    .pipe(z.string().refine(isCode, { error }));
}

const authenticatorCode = codeLike(
  (code) => TOTP_CODE.test(code),
  'must be the six digits that the authenticator shows',
).describe('The six digits that the authenticator shows.');

const anyCode = codeLike(
  (code) => TOTP_CODE.test(code) || RECOVERY_CODE.test(code),
  'must be the six digits that the authenticator shows, or a recovery code',
).describe('The six digits that the authenticator shows, or a recovery code.');

export const totpStateSchema = z
  .object({
    state: z
      .enum(['off', 'pending', 'on'])
      .describe('`pending`: a secret was made, and no code of it has come back yet.'),
    recoveryCodesLeft: z.int().min(0).max(RECOVERY_CODES),
  })
  .meta({ id: 'TotpState' });

export const totpRequestSchema = z
  .strictObject({ password: ownPassword })
  .meta({ id: 'TotpRequest' });

export const totpSecretSchema = z
  .object({
    secret: z.string().describe('In base32, for typing it in.'),
    uri: z.string().describe('`otpauth://totp/…`, for a QR code.'),
  })
  .meta({ id: 'TotpSecret' });

export const totpConfirmationSchema = z
  .strictObject({ code: authenticatorCode })
  .meta({ id: 'TotpConfirmation' });

export const recoveryCodesRequestSchema = z
  .strictObject({ password: ownPassword, code: authenticatorCode })
  .meta({ id: 'RecoveryCodesRequest' });

export const recoveryCodesSchema = z
  .object({
    recoveryCodes: z
      .array(z.string())
      .length(RECOVERY_CODES)
      .describe('Each is good once. They are shown here and never again.'),
  })
  .meta({ id: 'RecoveryCodes' });

export const totpRemovalSchema = z
  .strictObject({ password: ownPassword, code: anyCode })
  .meta({ id: 'TotpRemoval' });

export const totpSignInSchema = z
  .strictObject({
    challenge: z.string().min(1).max(200).describe('That of `totp-required`.'),
    code: anyCode,
    refreshIn,
  })
  .meta({ id: 'TotpSignIn' });

export type TotpState = z.output<typeof totpStateSchema>;
export type TotpRequest = z.output<typeof totpRequestSchema>;
export type TotpSecretAnswer = z.output<typeof totpSecretSchema>;
export type TotpConfirmation = z.output<typeof totpConfirmationSchema>;
export type RecoveryCodesRequest = z.output<typeof recoveryCodesRequestSchema>;
export type RecoveryCodesAnswer = z.output<typeof recoveryCodesSchema>;
export type TotpRemoval = z.output<typeof totpRemovalSchema>;
export type TotpSignIn = z.output<typeof totpSignInSchema>;
