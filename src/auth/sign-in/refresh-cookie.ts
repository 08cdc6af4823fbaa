import type {} from '@fastify/cookie';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ENV, type Env } from '../../core/env.js';
import type { SignIn } from './sign-in-answers.js';
import type { RefreshIn, SignInAnswer } from './sign-in.schema.js';

/** Browsers take a name with this prefix over TLS alone (RFC 6265bis section 4.1.3.1). */
export const REFRESH_COOKIE = '__Secure-atelier-refresh';
/** The routes that need it: no other request carries it. */
const SCOPE = { path: '/api/v1/auth', secure: true, httpOnly: true, sameSite: 'lax' } as const;
const DAY_SECONDS = 86_400;

/** Keeps the refresh tokens of browsers where their scripts cannot read them. */
@Injectable()
export class RefreshCookie {
  constructor(@Inject(ENV) private readonly env: Env) {}

  read({ server, headers }: FastifyRequest): string | undefined {
    return server.parseCookie(headers.cookie ?? '')[REFRESH_COOKIE];
  }

  /** Puts the refresh token of an answer where the client wants it. @returns the body */
  place(reply: FastifyReply, { refreshToken, ...rest }: SignIn, where: RefreshIn): SignInAnswer {
    if (where === 'body') return { ...rest, refreshToken };
    const maxAge = this.env.REFRESH_TOKEN_DAYS * DAY_SECONDS;
    void reply.setCookie(REFRESH_COOKIE, refreshToken, { ...SCOPE, maxAge });
    return rest;
  }

  clear(reply: FastifyReply): void {
    void reply.clearCookie(REFRESH_COOKIE, SCOPE);
  }
}
