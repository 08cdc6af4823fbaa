import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { purposeKey } from '../../core/purpose-key.js';

const KEY_ID_LENGTH = 16;

/** What one secret signs with. */
export interface SigningKey {
  /** Which secret it is, without telling it: the header's `kid`. */
  readonly id: string;
  /** For access tokens: the UTF-8 bytes of the secret. */
  readonly access: KeyObject;
  /** For refresh tokens: from the secret by HKDF (RFC 5869), so that neither stands for the other. */
  readonly refresh: KeyObject;
}

/**
 * The keys of `JWT_SECRET`, which sign, and of `JWT_PREVIOUS_SECRETS`, under which what was signed
 * before is still good: so a secret can be changed without signing anybody out.
 */
@Injectable()
export class SigningKeys {
  readonly current: SigningKey;
  /** The current one first. */
  readonly all: readonly SigningKey[];

  constructor(@Inject(ENV) env: Env) {
    this.current = keyOf(env.JWT_SECRET);
    this.all = [this.current, ...env.JWT_PREVIOUS_SECRETS.map(keyOf)];
  }

  /** The key that an access token names; undefined when it is none of ours. */
  find(id: unknown): SigningKey | undefined {
    return this.all.find((key) => key.id === id);
  }
}

function keyOf(secret: string): SigningKey {
  return {
    id: createHash('sha256').update(`key id:${secret}`).digest('hex').slice(0, KEY_ID_LENGTH),
    // A KeyObject: a string would be turned into one for every token.
    access: createSecretKey(secret, 'utf8'),
    refresh: purposeKey(secret, 'atelier refresh tokens'),
  };
}
