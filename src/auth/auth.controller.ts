import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Public } from '../core/http/public.js';
import { Operation } from '../core/openapi/openapi.js';
import {
  Problem,
  unavailable,
  unsupportedMediaType,
  validationFailed,
} from '../core/problems/problem.js';
import { CurrentUser, OptionalUser, type Principal } from './access/principal.js';
import { emailTaken, invalidCredentials, invalidRefreshToken } from './auth.problems.js';
import { totpRequired } from './second-factor/second-factor.problems.js';
import { Sessions } from './sessions/sessions.service.js';
import { RefreshCookie } from './sign-in/refresh-cookie.js';
import {
  type Login,
  loginSchema,
  type Register,
  registerSchema,
  type RefreshTokenBody,
  refreshTokenSchema,
  signInSchema,
} from './sign-in/sign-in.schema.js';
import { SignInRoute } from './sign-in/sign-in-route.js';
import { SignInService } from './sign-in/sign-in.service.js';

/** Registering, signing in, staying signed in, signing out. */
@Controller('api/v1/auth')
export class AuthController {
  constructor(
    private readonly signIns: SignInService,
    private readonly sessions: Sessions,
    private readonly cookie: RefreshCookie,
  ) {}

  @Post('register')
  @Public()
  @SignInRoute()
  @Operation({
    summary: 'Make an account and sign in',
    description: 'Makes a studio and its owner, or with `kind: "personal"` an account alone.',
    answers: { 201: { description: 'Registered and signed in', schema: signInSchema } },
    problems: [emailTaken, unavailable, unsupportedMediaType, validationFailed],
  })
  async register(
    @Body({ schema: registerSchema }) body: Register,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.cookie.place(reply, await this.signIns.register(body), body.refreshIn);
  }

  @Post('login')
  @Public()
  @SignInRoute()
  @HttpCode(200)
  @Operation({
    summary: 'Sign in with e-mail and password',
    answers: { 200: { description: 'Signed in', schema: signInSchema } },
    problems: [
      invalidCredentials,
      totpRequired,
      unavailable,
      unsupportedMediaType,
      validationFailed,
    ],
  })
  async login(
    @Body({ schema: loginSchema }) body: Login,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.cookie.place(reply, await this.signIns.login(body), body.refreshIn);
  }

  @Post('refresh')
  @Public()
  @SignInRoute()
  @HttpCode(200)
  @Operation({
    summary: 'Stay signed in',
    description:
      'Takes a refresh token, of the body or of the cookie, and answers its successor in the same ' +
      'place, with a new access token. Each token is good for one refresh; the same one may be sent ' +
      'again within ten seconds when its answer was lost. One that is used later ends the session.',
    answers: { 200: { description: 'Still signed in', schema: signInSchema } },
    problems: [invalidRefreshToken, unsupportedMediaType, validationFailed],
  })
  async refresh(
    @Body({ schema: refreshTokenSchema }) { refreshToken }: RefreshTokenBody,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const token = refreshToken ?? this.cookie.read(request);
    if (token === undefined) throw new Problem(invalidRefreshToken);
    const where = refreshToken === undefined ? 'cookie' : 'body';
    return this.cookie.place(reply, await this.signIns.refresh(token), where);
  }

  @Post('logout')
  @Public('anyone-or-user')
  @HttpCode(204)
  @Operation({
    summary: 'Sign out on this device',
    description:
      'Ends the session of the access token, and that of the refresh token in the body or the cookie, ' +
      'which is enough when the access token has expired. To sign out twice is no error.',
    answers: { 204: { description: 'Signed out' } },
    problems: [unsupportedMediaType, validationFailed],
  })
  async logout(
    @OptionalUser() user: Principal | undefined,
    @Body({ schema: refreshTokenSchema }) { refreshToken }: RefreshTokenBody,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.signIns.logout(user, refreshToken ?? this.cookie.read(request));
    this.cookie.clear(reply);
  }

  @Post('logout-all')
  @HttpCode(204)
  @Operation({
    summary: 'Sign out everywhere',
    answers: { 204: { description: 'All sessions are over, this one too' } },
  })
  async logoutAll(@CurrentUser() user: Principal, @Res({ passthrough: true }) reply: FastifyReply) {
    await this.sessions.endAll(user.userId, 'signed-out-everywhere');
    this.cookie.clear(reply);
  }
}
