import { NobleCryptoPlugin, ScureBase32Plugin, TOTP } from 'otplib';

const STEP_SECONDS = 30;

export const TOTP_CODE = /^\d{6}$/;

/**
 * Codes of six digits that authenticator apps show, by RFC 6238 with SHA-1 and steps of 30 seconds:
 * the one kind that all of them know.
 */
const totp = new TOTP({
  issuer: 'Atelier',
  algorithm: 'sha1',
  digits: 6,
  period: STEP_SECONDS,
  crypto: new NobleCryptoPlugin(),
  base32: new ScureBase32Plugin(),
});

/** 160 random bits in base32, as RFC 4226 section 4 recommends. */
export function newTotpSecret(): string {
  return totp.generateSecret();
}

/** What an authenticator app reads from a QR code. @param label whose account it is */
export function totpUri(secret: string, label: string): string {
  return totp.toURI({ secret, label });
}

/**
 * The step of time that a code belongs to: the present one, the one before or the one after, since
 * clocks differ and codes take a while to type (RFC 6238 section 5.2).
 *
 * @param secret in base32
 * @param code six digits
 * @param now by the application's clock
 * @returns undefined when it is not a code of these
 */
export async function stepOfCode(
  secret: string,
  code: string,
  now = new Date(),
): Promise<number | undefined> {
  const epoch = Math.floor(now.getTime() / 1_000);
  const result = await totp.verify(code, { secret, epoch, epochTolerance: STEP_SECONDS });
  return result.valid ? result.timeStep : undefined;
}
