import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

const KEY_BYTES = 32;

/**
 * A key of its own for one use of a secret (RFC 5869): what is made for one use is worth nothing for
 * another, and no key tells anything of the secret.
 *
 * @param purpose no two uses of a secret have the same
 * @returns a KeyObject: bytes would be turned into one for each signature, at five times the time
 */
export function purposeKey(secret: string, purpose: string): KeyObject {
  return createSecretKey(new Uint8Array(hkdfSync('sha256', secret, '', purpose, KEY_BYTES)));
}
