import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Public } from '../../core/http/public.js';
import { Operation } from '../../core/openapi/openapi.js';
import {
  tooManyRequests,
  unsupportedMediaType,
  validationFailed,
} from '../../core/problems/problem.js';
import { invalidCredentials } from '../auth.problems.js';
import {
  invalidChallenge,
  invalidCode,
  tooManyCodes,
  totpUnreadable,
} from '../second-factor/second-factor.problems.js';
import { RefreshCookie } from '../sign-in/refresh-cookie.js';
import { signInSchema } from '../sign-in/sign-in.schema.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';
import { type TotpSignIn as TotpSignInBody, totpSignInSchema } from './totp.schema.js';
import { TotpSignIn } from './totp-sign-in.service.js';

/** The second step of signing in, wherever the first was taken. */
@Controller('api/v1/auth/totp')
export class TotpSignInController {
  constructor(
    private readonly signIns: TotpSignIn,
    private readonly cookie: RefreshCookie,
  ) {}

  @Post()
  @Public()
  @SignInRoute()
  @HttpCode(200)
  @Operation({
    summary: 'Sign in with a code',
    description:
      'With the `challenge` of a 401 `totp-required`, within five minutes, and what the authenticator ' +
      'shows or a recovery code. Each code is good once.',
    answers: { 200: { description: 'Signed in', schema: signInSchema } },
    problems: [
      invalidChallenge,
      invalidCode,
      invalidCredentials,
      tooManyCodes,
      tooManyRequests,
      totpUnreadable,
      unsupportedMediaType,
      validationFailed,
    ],
  })
  async enter(
    @Body({ schema: totpSignInSchema }) body: TotpSignInBody,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.cookie.place(reply, await this.signIns.enter(body), body.refreshIn);
  }
}
