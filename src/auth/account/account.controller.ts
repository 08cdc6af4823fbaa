import { Body, Controller, Delete, Get, HttpCode, Patch, Put, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Operation } from '../../core/openapi/openapi.js';
import {
  tooManyRequests,
  unsupportedMediaType,
  validationFailed,
} from '../../core/problems/problem.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import { administratorAccount, soleOwner } from '../auth.problems.js';
import { RefreshCookie } from '../sign-in/refresh-cookie.js';
import { signInSchema } from '../sign-in/sign-in.schema.js';
import { AccountDeletion } from './account-deletion.js';
import { AccountExport } from './account-export.js';
import {
  type ChangePassword,
  changePasswordSchema,
  type DeleteAccount,
  deleteAccountSchema,
  exportSchema,
  meSchema,
  type ProfileChanges,
  profileChangesSchema,
} from './account.schema.js';
import { PasswordChange } from './password-change.service.js';
import { OWNER_PROBLEMS } from '../passwords/owner-check.js';
import { Profile } from './profile.service.js';

/** One's own account. */
@Controller('api/v1/me')
export class AccountController {
  constructor(
    private readonly profile: Profile,
    private readonly passwords: PasswordChange,
    private readonly exports: AccountExport,
    private readonly deletion: AccountDeletion,
    private readonly cookie: RefreshCookie,
  ) {}

  @Get()
  @Operation({
    summary: 'Show your account',
    answers: { 200: { description: 'The account, with its studios', schema: meSchema } },
  })
  show(@CurrentUser() user: Principal) {
    return this.profile.show(user);
  }

  @Patch()
  @Operation({
    summary: 'Change your names or your language',
    answers: { 200: { description: 'The account as it is now', schema: meSchema } },
    problems: [unsupportedMediaType, validationFailed],
  })
  change(
    @CurrentUser() user: Principal,
    @Body({ schema: profileChangesSchema }) changes: ProfileChanges,
  ) {
    return this.profile.change(user, changes);
  }

  @Put('password')
  @Operation({
    summary: 'Change your password',
    description:
      'Ends all sessions, this one too, and every link that was mailed before; the answer is a new ' +
      'sign-in to go on with. An account without a password is given one when it has signed in within ' +
      'the last 15 minutes.',
    answers: { 200: { description: 'Changed, and signed in', schema: signInSchema } },
    problems: [...OWNER_PROBLEMS, unsupportedMediaType, validationFailed],
  })
  async changePassword(
    @CurrentUser() user: Principal,
    @Body({ schema: changePasswordSchema }) { refreshIn, ...change }: ChangePassword,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.cookie.place(reply, await this.passwords.change(user, change), refreshIn);
  }

  @Get('export')
  @Operation({
    summary: 'Fetch everything that we hold on you',
    description:
      'One JSON object, however large: read it as a stream. Links to files work as everywhere, the ' +
      'signed ones for a while, `originalUrl` with your access token. Five a minute are made.',
    answers: { 200: { description: 'The export', schema: exportSchema } },
    problems: [tooManyRequests],
  })
  async export(@CurrentUser() user: Principal, @Res() reply: FastifyReply): Promise<void> {
    const content = await this.exports.begin(user);
    await reply
      .type('application/json; charset=utf-8')
      .header('content-disposition', 'attachment; filename="atelier-export.json"')
      .header('cache-control', 'no-store')
      .send(content);
  }

  @Delete()
  @HttpCode(204)
  @Operation({
    summary: 'Delete your account and everything that we hold on you',
    description:
      'At once and for good, with all files, and the studios in which nobody else works. It asks for ' +
      'the password, or of an account without one for a sign-in within the last 15 minutes.',
    answers: { 204: { description: 'Nothing is left' } },
    problems: [
      ...OWNER_PROBLEMS,
      administratorAccount,
      soleOwner,
      unsupportedMediaType,
      validationFailed,
    ],
  })
  async delete(
    @CurrentUser() user: Principal,
    @Body({ schema: deleteAccountSchema }) body: DeleteAccount,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.deletion.delete(user, body);
    this.cookie.clear(reply);
  }
}
