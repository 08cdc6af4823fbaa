import { Body, Controller, Delete, Get, HttpCode, Post, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import { OWNER_PROBLEMS } from '../passwords/owner-check.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';
import { GoogleConfiguredGuard } from './google-configured.guard.js';
import { GoogleLinks } from './google-links.service.js';
import {
  emailUnverified,
  googleLinked,
  googleNotConfigured,
  googleTaken,
  googleUnavailable,
  invalidIdToken,
  lastSignInWay,
} from './google.problems.js';
import {
  type BeginGoogleLink,
  beginGoogleLinkSchema,
  googleAddressSchema,
  googleLinkSchema,
  type LinkGoogle,
  linkGoogleSchema,
  type UnlinkGoogle,
  unlinkGoogleSchema,
} from './google.schema.js';
import { StateCookie } from './state-cookie.js';

const OF_BODIES = [...OWNER_PROBLEMS, unsupportedMediaType, validationFailed];

/** The Google account that opens one's account. */
@Controller('api/v1/me/google')
@UseGuards(GoogleConfiguredGuard)
export class GoogleLinksController {
  constructor(
    private readonly links: GoogleLinks,
    private readonly stateCookie: StateCookie,
  ) {}

  @Get()
  @Operation({
    summary: 'See whether Google opens your account',
    description: '503 `google-not-configured` where the server has no client at Google.',
    answers: { 200: { description: 'Whether it does', schema: googleLinkSchema } },
    problems: [googleNotConfigured],
  })
  async show(@CurrentUser() user: Principal) {
    return { linked: await this.links.isLinked(user) };
  }

  @Post()
  @SignInRoute()
  @HttpCode(204)
  @Operation({
    summary: 'Link your account with Google, by an ID token',
    description:
      'As Google’s libraries give it to apps and to pages. 503 `google-not-configured` where the ' +
      'server has no client at Google.',
    answers: { 204: { description: 'From now on Google opens the account as well' } },
    problems: [
      ...OF_BODIES,
      emailUnverified,
      googleLinked,
      googleNotConfigured,
      googleTaken,
      googleUnavailable,
      invalidIdToken,
    ],
  })
  link(@CurrentUser() user: Principal, @Body({ schema: linkGoogleSchema }) body: LinkGoogle) {
    return this.links.link(user, body);
  }

  @Post('link')
  @SignInRoute()
  @HttpCode(200)
  @Operation({
    summary: 'Link your account with Google, in a browser',
    description:
      'Answers the page of Google to go to, and sets the cookie that has this browser alone come ' +
      'back for you. It ends at `returnTo`, with `#error=` when nothing was linked. ' +
      '503 `google-not-configured` where the server has no client at Google.',
    answers: { 200: { description: 'Go there', schema: googleAddressSchema } },
    problems: [...OF_BODIES, googleNotConfigured],
  })
  async begin(
    @CurrentUser() user: Principal,
    @Body({ schema: beginGoogleLinkSchema }) body: BeginGoogleLink,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { url, kept } = await this.links.begin(user, body);
    this.stateCookie.place(reply, kept);
    return { url };
  }

  @Delete()
  @SignInRoute()
  @HttpCode(204)
  @Operation({
    summary: 'Unlink your account from Google',
    description:
      'No session ends. To unlink twice is no error. 503 `google-not-configured` where the server ' +
      'has no client at Google.',
    answers: { 204: { description: 'Google does not open the account any more' } },
    problems: [...OF_BODIES, googleNotConfigured, lastSignInWay],
  })
  unlink(@CurrentUser() user: Principal, @Body({ schema: unlinkGoogleSchema }) body: UnlinkGoogle) {
    return this.links.unlink(user, body);
  }
}
