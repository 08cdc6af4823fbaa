import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { idOfHex } from '../../core/ids.js';
import { type SigningKey, SigningKeys } from './signing-keys.js';

const SESSION_BYTES = 16;
const SECRET_BYTES = 32;
const TAG_BYTES = 16;
const TOKEN_BYTES = SESSION_BYTES + SECRET_BYTES + TAG_BYTES;
const TOKEN_LENGTH = Math.ceil((TOKEN_BYTES * 4) / 3);

/** A refresh token that we have made, whether it is still good or not. */
export interface RefreshToken {
  /** As the client holds it. */
  readonly text: string;
  readonly sessionId: string;
  /** What is stored of it. */
  readonly hash: string;
}

/**
 * Makes refresh tokens and knows its own: opaque to clients, in base64url the id of the session, 32
 * bytes that nobody can guess, and a tag. By the tag, what we never made is told from what was good
 * once: the one is nothing, the other is a theft.
 *
 * The first of a session is random; each other one is the HMAC of its predecessor. So a client that
 * has not heard the answer can be told the same successor again, although only its hash is stored.
 */
@Injectable()
export class RefreshTokens {
  constructor(private readonly keys: SigningKeys) {}

  /** The first token of a session. */
  first(sessionId: string): RefreshToken {
    return make(this.keys.current, idBytes(sessionId), randomBytes(SECRET_BYTES));
  }

  /** @returns undefined for what is no refresh token of ours */
  read(text: string): RefreshToken | undefined {
    if (text.length !== TOKEN_LENGTH) return undefined;
    const bytes = Buffer.from(text, 'base64url');
    // Other spellings of the same bytes are not the token.
    if (bytes.length !== TOKEN_BYTES || bytes.toString('base64url') !== text) return undefined;
    const tag = bytes.subarray(-TAG_BYTES);
    const body = bytes.subarray(0, -TAG_BYTES);
    const isOurs = this.keys.all.some((key) => timingSafeEqual(tagOf(key, body), tag));
    return isOurs ? describe(text, body) : undefined;
  }

  /** What takes a token's place. */
  successorOf(token: RefreshToken): RefreshToken {
    return successor(this.keys.current, token);
  }

  /** The successor of a token that has this hash; by a former secret, if it was changed in between. */
  successorWithHash(token: RefreshToken, hash: string): RefreshToken | undefined {
    return this.keys.all
      .map((key) => successor(key, token))
      .find((candidate) => candidate.hash === hash);
  }
}

function successor(key: SigningKey, { sessionId, text }: RefreshToken): RefreshToken {
  const secret = createHmac('sha256', key.refresh).update(`successor:${text}`).digest();
  return make(key, idBytes(sessionId), secret);
}

function make(key: SigningKey, id: Buffer, secret: Buffer): RefreshToken {
  const body = Buffer.concat([id, secret]);
  return describe(Buffer.concat([body, tagOf(key, body)]).toString('base64url'), body);
}

function tagOf(key: SigningKey, body: Buffer): Buffer {
  return createHmac('sha256', key.refresh)
    .update('tag:')
    .update(body)
    .digest()
    .subarray(0, TAG_BYTES);
}

function describe(text: string, body: Buffer): RefreshToken {
  const sessionId = idOfHex(body.toString('hex', 0, SESSION_BYTES));
  return { text, sessionId, hash: createHash('sha256').update(text).digest('hex') };
}

function idBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}
