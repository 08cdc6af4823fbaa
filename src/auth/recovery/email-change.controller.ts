import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { mailNotConfigured } from '../../mail/mail.problems.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import { emailTaken, invalidToken } from '../auth.problems.js';
import { OWNER_PROBLEMS } from '../passwords/owner-check.js';
import { EmailChange } from './email-change.service.js';
import {
  type ChangeEmail,
  changeEmailSchema,
  type ConfirmEmail,
  confirmEmailSchema,
  MAIL_ACCEPTED,
  mailAcceptedSchema,
} from './recovery.schema.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';

/** Another address for one's account. */
@Controller('api/v1')
export class EmailChangeController {
  constructor(private readonly changes: EmailChange) {}

  @Post('me/email')
  @HttpCode(202)
  @Operation({
    summary: 'Ask for another e-mail address',
    description:
      'It is yours once you have confirmed it with the token that is sent there. Nothing is sent to an ' +
      'address that has an account, nor more than five an hour; the answer does not tell.',
    answers: { 202: { description: 'Taken', schema: mailAcceptedSchema } },
    problems: [...OWNER_PROBLEMS, mailNotConfigured, unsupportedMediaType, validationFailed],
  })
  async request(
    @CurrentUser() user: Principal,
    @Body({ schema: changeEmailSchema }) body: ChangeEmail,
  ) {
    await this.changes.request(user, body);
    return MAIL_ACCEPTED;
  }

  @Post('auth/confirm-email')
  @SignInRoute()
  @HttpCode(204)
  @Operation({
    summary: 'Confirm your new e-mail address',
    description:
      'Signed in, with the token of the mail, which works once. The old address is told.',
    answers: { 204: { description: 'The account has the new address, verified' } },
    problems: [emailTaken, invalidToken, unsupportedMediaType, validationFailed],
  })
  confirm(
    @CurrentUser() user: Principal,
    @Body({ schema: confirmEmailSchema }) { token }: ConfirmEmail,
  ) {
    return this.changes.confirm(user, token);
  }
}
