import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../../core/env.js';
import { purposeKey } from '../../../core/purpose-key.js';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals the secrets of authenticators under a key of `APP_SECRET`, so that a copy of the database
 * alone makes nobody's codes. Each is bound to its account: in another row it does not open.
 */
@Injectable()
export class SealedSecrets {
  private readonly key: KeyObject;

  constructor(@Inject(ENV) env: Env) {
    this.key = purposeKey(env.APP_SECRET, 'totp secrets');
  }

  /** @returns nonce, ciphertext and tag, in base64 */
  seal(secret: string, userId: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.key, nonce).setAAD(Buffer.from(userId));
    const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64');
  }

  /** @returns undefined for what was sealed under another `APP_SECRET`, or for another account */
  open(sealed: string, userId: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64');
    const nonce = bytes.subarray(0, NONCE_BYTES);
    try {
      const decipher = createDecipheriv(CIPHER, this.key, nonce, { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(userId))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      const body = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([body, decipher.final()]).toString('utf8');
    } catch {
      return undefined;
    }
  }
}
