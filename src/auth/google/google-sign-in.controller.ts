import {
  Body,
  Controller,
  Get,
  HttpCode,
  Inject,
  Logger,
  Post,
  Query,
  Req,
  Res,
  UseGuards,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ENV, type Env } from '../../core/env.js';
import { Public } from '../../core/http/public.js';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { toProblem } from '../../core/problems/problem.filter.js';
import { invalidCredentials } from '../auth.problems.js';
import { totpRequired } from '../second-factor/second-factor.problems.js';
import { RefreshCookie } from '../sign-in/refresh-cookie.js';
import { signInSchema } from '../sign-in/sign-in.schema.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';
import { failureAddress } from './failure-address.js';
import type { FlowState } from './flow-states.js';
import { GoogleConfiguredGuard } from './google-configured.guard.js';
import { GoogleFlow } from './google-flow.js';
import { GoogleLinks } from './google-links.service.js';
import {
  accountDisabled,
  emailMissing,
  emailUnverified,
  googleDenied,
  googleNotConfigured,
  googleUnavailable,
  invalidGoogleCode,
  invalidIdToken,
  invalidState,
  linkRequired,
} from './google.problems.js';
import {
  type GoogleCallback,
  googleCallbackQuery,
  type GoogleStart,
  googleStartQuery,
  type GoogleToken,
  googleTokenSchema,
} from './google.schema.js';
import { GoogleSignIn } from './google-sign-in.service.js';
import { StateCookie } from './state-cookie.js';

/** What is wrong with an account, whichever way its owner has come. */
const OF_ACCOUNTS = [
  accountDisabled,
  emailMissing,
  emailUnverified,
  invalidCredentials,
  linkRequired,
  totpRequired,
];
const SHARED = [googleNotConfigured, googleUnavailable, validationFailed];

/** Signing in with Google: for browsers by way of Google's pages, for apps with Google's tokens. */
@Controller('api/v1/auth/google')
@UseGuards(GoogleConfiguredGuard)
export class GoogleSignInController {
  private readonly logger = new Logger('Http');

  constructor(
    private readonly flow: GoogleFlow,
    private readonly signIns: GoogleSignIn,
    private readonly links: GoogleLinks,
    private readonly stateCookie: StateCookie,
    private readonly refreshCookie: RefreshCookie,
    @Inject(ENV) private readonly env: Env,
  ) {}

  @Get()
  @Public()
  @SignInRoute()
  @HttpCode(302)
  @Operation({
    summary: 'Sign in with Google, in a browser',
    description:
      'Visit it: it sends the browser to Google, which sends it to the callback. Where the server has ' +
      'no client at Google, this and all other routes of Google answer 503 `google-not-configured`.',
    answers: { 302: { description: 'To Google', headers: { location: 'A page of Google.' } } },
    problems: SHARED,
  })
  async begin(
    @Query({ schema: googleStartQuery }) { returnTo, refreshIn }: GoogleStart,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { url, kept } = await this.flow.begin({ returnTo, refreshIn });
    this.stateCookie.place(reply, kept);
    void reply.header('location', url);
  }

  @Get('callback')
  @Public()
  @SignInRoute()
  @Operation({
    summary: 'Come back from Google',
    description:
      'Google sends the browser here. Begun with `returnTo`, it goes on to that page of the app: with ' +
      'the refresh token in its cookie, or with `#error=` and the code of the problem (and ' +
      '`&challenge=`, when the problem has one). Begun without, it is answered as by signing in ' +
      'with a password. 503 `google-not-configured` where the server has no client at Google.',
    answers: {
      200: { description: 'Signed in', schema: signInSchema },
      303: { description: 'Back to the app', headers: { location: 'Below `APP_URL`.' } },
    },
    problems: [...OF_ACCOUNTS, ...SHARED, googleDenied, invalidGoogleCode, invalidState],
  })
  async callback(
    @Query({ schema: googleCallbackQuery }) query: GoogleCallback,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const kept = this.stateCookie.take(request, reply);
    if (kept && (kept.link ?? kept.returnTo) !== undefined) return this.goOn(reply, kept, query);
    const signIn = await this.signIns.byFlow(query, kept);
    return this.refreshCookie.place(reply, signIn, kept?.refreshIn ?? 'body');
  }

  @Post('token')
  @Public()
  @SignInRoute()
  @HttpCode(200)
  @Operation({
    summary: 'Sign in with Google, in an app',
    description:
      'Takes the ID token that Google’s library has given to the app, and makes an account at the ' +
      'first time. 503 `google-not-configured` where the server has no client at Google.',
    answers: { 200: { description: 'Signed in', schema: signInSchema } },
    problems: [...OF_ACCOUNTS, ...SHARED, invalidIdToken, unsupportedMediaType],
  })
  async token(
    @Body({ schema: googleTokenSchema }) body: GoogleToken,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.refreshCookie.place(reply, await this.signIns.byToken(body), body.refreshIn);
  }

  /** To the app, whatever the outcome; the filter of problems has no part in it. */
  private async goOn(reply: FastifyReply, kept: FlowState, query: GoogleCallback): Promise<void> {
    const back = `${this.env.APP_URL}${kept.returnTo ?? '/'}`;
    try {
      if (kept.link) await this.links.finish(query, kept);
      else this.refreshCookie.place(reply, await this.signIns.byFlow(query, kept), 'cookie');
      void reply.code(303).header('location', back);
    } catch (error) {
      const problem = toProblem(error);
      if (problem.isFault) this.logger.error({ err: error, msg: problem.message });
      void reply.code(303).header('location', failureAddress(back, problem));
    }
  }
}
