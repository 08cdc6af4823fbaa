import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { idOfHex } from '../../core/ids.js';
import { purposeKey } from '../../core/purpose-key.js';

const ID_BYTES = 16;
const EXPIRY_BYTES = 6;
const TAG_BYTES = 32;
const CHALLENGE_BYTES = ID_BYTES + EXPIRY_BYTES + TAG_BYTES;

/** For how long the second step of signing in may follow the first. */
export const CHALLENGE_SECONDS = 300;

/** What an account is like: when any of it changes, what was asked before is asked no more. */
export interface AccountState {
  readonly userId: string;
  readonly passwordHash: string | null;
  /** Of its authenticator. */
  readonly secretId: string;
}

/**
 * What somebody holds who has taken the first step of signing in: opaque, in base64url the id of the
 * account, when it is over, and a tag under a key of `APP_SECRET`. The tag also covers what the account
 * was like, so that another password or authenticator makes it worthless; nothing is stored.
 *
 * It is over by the application's clock, and may be used more than once: the code may not.
 */
@Injectable()
export class Challenges {
  private readonly key: KeyObject;

  constructor(@Inject(ENV) env: Env) {
    this.key = purposeKey(env.APP_SECRET, 'totp challenges');
  }

  issue(state: AccountState, now = Date.now()): string {
    const expiry = Buffer.alloc(EXPIRY_BYTES);
    expiry.writeUIntBE(now + CHALLENGE_SECONDS * 1_000, 0, EXPIRY_BYTES);
    const body = Buffer.concat([Buffer.from(state.userId.replaceAll('-', ''), 'hex'), expiry]);
    return Buffer.concat([body, this.tagOf(body, state)]).toString('base64url');
  }

  /** The account that a challenge speaks of, which {@link isGood} has yet to prove. */
  accountOf(challenge: string): string | undefined {
    const bytes = bytesOf(challenge);
    return bytes && idOfHex(bytes.toString('hex', 0, ID_BYTES));
  }

  /** Whether we have made it, for an account that is still like that, and not too long ago. */
  isGood(challenge: string, state: AccountState): boolean {
    const bytes = bytesOf(challenge);
    if (!bytes) return false;
    const body = bytes.subarray(0, -TAG_BYTES);
    const isOurs = timingSafeEqual(this.tagOf(body, state), bytes.subarray(-TAG_BYTES));
    return isOurs && body.readUIntBE(ID_BYTES, EXPIRY_BYTES) > Date.now();
  }

  private tagOf(body: Buffer, { userId, passwordHash, secretId }: AccountState): Buffer {
    return createHmac('sha256', this.key)
      .update(body)
      .update(JSON.stringify([userId, passwordHash, secretId]))
      .digest();
  }
}

/** @returns undefined for what has not the shape of a challenge; other spellings of one are none */
function bytesOf(challenge: string): Buffer | undefined {
  const bytes = Buffer.from(challenge, 'base64url');
  const isCanonical = bytes.toString('base64url') === challenge;
  return isCanonical && bytes.length === CHALLENGE_BYTES ? bytes : undefined;
}
