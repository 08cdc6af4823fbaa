import { createHash, randomBytes } from 'node:crypto';

/** How many an account has at first. */
export const RECOVERY_CODES = 10;
/** 100 bits: nobody finds one by trying, not even with all hashes at hand. */
const CODE_LENGTH = 20;
/** RFC 4648 section 6, in small letters: 32 characters, so that five bits of a byte choose one. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** A recovery code without what only makes it readable. */
export const RECOVERY_CODE = new RegExp(`^[${ALPHABET}]{${CODE_LENGTH}}$`);

/** Codes as they are shown, once: `abcde-fghij-klmno-pqrst`. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: RECOVERY_CODES }, () =>
    Array.from(randomBytes(CODE_LENGTH), (byte) => ALPHABET.charAt(byte & 31))
      .join('')
      .replace(/.{5}(?=.)/g, '$&-'),
  );
}

/** A code in the one spelling that is stored and compared: capitals, spaces and hyphens aside. */
export function canonicalCode(text: string): string {
  return text.replace(/[\s-]/g, '').toLowerCase();
}

/**
 * What is stored of a recovery code. Without a key, which 100 bits do not need: so it is good also
 * when `APP_SECRET` was changed, and the authenticator is not.
 *
 * @param secretId of the authenticator that it stands in for
 * @param code canonical
 */
export function recoveryCodeHash(secretId: string, code: string): string {
  return createHash('sha256').update(`${secretId}:${code}`).digest('hex');
}
