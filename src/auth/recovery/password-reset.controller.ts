import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { Public } from '../../core/http/public.js';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { mailNotConfigured } from '../../mail/mail.problems.js';
import { invalidToken } from '../auth.problems.js';
import { PasswordReset } from './password-reset.service.js';
import {
  type ForgotPassword,
  forgotPasswordSchema,
  MAIL_ACCEPTED,
  mailAcceptedSchema,
  type ResetPassword,
  resetPasswordSchema,
} from './recovery.schema.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';

/** A new password by mail. */
@Controller('api/v1/auth')
export class PasswordResetController {
  constructor(private readonly resets: PasswordReset) {}

  @Post('forgot-password')
  @Public()
  @SignInRoute()
  @HttpCode(202)
  @Operation({
    summary: 'Ask for a new password by mail',
    description:
      'Something is sent when the address has an account, and not more than five an hour; the answer ' +
      'does not tell.',
    answers: { 202: { description: 'Taken', schema: mailAcceptedSchema } },
    problems: [mailNotConfigured, unsupportedMediaType, validationFailed],
  })
  async forgot(@Body({ schema: forgotPasswordSchema }) { email }: ForgotPassword) {
    await this.resets.request(email);
    return MAIL_ACCEPTED;
  }

  @Post('reset-password')
  @Public()
  @SignInRoute()
  @HttpCode(204)
  @Operation({
    summary: 'Choose a new password',
    description:
      'With the token of the mail, which works once. All sessions of the account are over then, and ' +
      'its address is verified.',
    answers: { 204: { description: 'The password is changed' } },
    problems: [invalidToken, unsupportedMediaType, validationFailed],
  })
  reset(@Body({ schema: resetPasswordSchema }) body: ResetPassword) {
    return this.resets.reset(body);
  }
}
