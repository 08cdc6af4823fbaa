import { createHmac, type KeyObject, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { z } from 'zod';
import { ENV, type Env } from '../../core/env.js';
import { purposeKey } from '../../core/purpose-key.js';
import { isSameSecret } from '../../core/same-secret.js';
import { returnTo } from './google.schema.js';

/** For how long somebody may take at Google, in seconds. */
export const STATE_SECONDS = 600;
/** Names the purpose, so that no other use of APP_SECRET can yield the same key. */
const KEY_PURPOSE = 'google sign-in states';
const STATE_BYTES = 32;

/** What a way to Google and back is for. */
const purposeSchema = z.object({
  returnTo: returnTo.optional(),
  refreshIn: z.enum(['body', 'cookie']),
  /** Who links their account; without it, somebody signs in. */
  link: z.object({ userId: z.uuid(), sessionId: z.uuid() }).optional(),
});

const stateSchema = purposeSchema.extend({
  /** What Google has to send back. */
  state: z.string(),
  /** Of PKCE: what the code is only good with. */
  verifier: z.string(),
  /** In seconds since 1970. */
  expiresAt: z.int(),
});

export type FlowPurpose = z.output<typeof purposeSchema>;
export type FlowState = z.output<typeof stateSchema>;

/**
 * What the browser that goes to Google keeps until it comes back, signed: so that nobody is signed in,
 * or linked, by an address that others have made, and no server has to remember who is under way.
 */
@Injectable()
export class FlowStates {
  private readonly key: KeyObject;

  constructor(@Inject(ENV) env: Pick<Env, 'APP_SECRET'>) {
    this.key = purposeKey(env.APP_SECRET, KEY_PURPOSE);
  }

  make(purpose: FlowPurpose, verifier: string): FlowState {
    return {
      ...purpose,
      state: randomBytes(STATE_BYTES).toString('base64url'),
      verifier,
      expiresAt: Math.floor(Date.now() / 1_000) + STATE_SECONDS,
    };
  }

  seal(state: FlowState): string {
    const body = Buffer.from(JSON.stringify(state)).toString('base64url');
    return `${body}.${this.tagOf(body)}`;
  }

  /** @returns undefined for what we have not sealed, or too long ago */
  open(sealed: string | undefined): FlowState | undefined {
    const [body = '', tag = '', ...rest] = sealed?.split('.') ?? [];
    if (rest.length > 0 || !isSameSecret(tag, this.tagOf(body))) return undefined;
    // By ourselves, if perhaps by another version.
    const { data } = stateSchema.safeParse(JSON.parse(Buffer.from(body, 'base64url').toString()));
    return data && data.expiresAt * 1_000 > Date.now() ? data : undefined;
  }

  private tagOf(body: string): string {
    return createHmac('sha256', this.key).update(body).digest('base64url');
  }
}

/** Whether Google has sent back what this browser was sent there with. */
export function isStateOf(kept: FlowState, given: string | undefined): boolean {
  return given !== undefined && isSameSecret(given, kept.state);
}
