import type {} from '@fastify/cookie';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ENV, type Env } from '../../core/env.js';
import { type FlowState, FlowStates, STATE_SECONDS } from './flow-states.js';

/** Browsers take a name with this prefix over TLS alone (RFC 6265bis section 4.1.3.1). */
export const STATE_COOKIE = '__Secure-atelier-google';

/** Has the browser that goes to Google keep its state until it is back. */
@Injectable()
export class StateCookie {
  constructor(
    private readonly states: FlowStates,
    @Inject(ENV) private readonly env: Env,
  ) {}

  place(reply: FastifyReply, kept: FlowState): void {
    const sealed = this.states.seal(kept);
    void reply.setCookie(STATE_COOKIE, sealed, { ...this.scope, maxAge: STATE_SECONDS });
  }

  /** The state of a request, which is over with it. */
  take({ server, headers }: FastifyRequest, reply: FastifyReply): FlowState | undefined {
    void reply.clearCookie(STATE_COOKIE, this.scope);
    return this.states.open(server.parseCookie(headers.cookie ?? '')[STATE_COOKIE]);
  }

  /** Goes to the callback alone. `Lax`, since the browser comes there from Google's site. */
  private get scope() {
    const { pathname } = new URL(this.env.GOOGLE_CALLBACK_URL);
    return { path: pathname, secure: true, httpOnly: true, sameSite: 'lax' } as const;
  }
}
