import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { Public } from '../../core/http/public.js';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { mailNotConfigured } from '../../mail/mail.problems.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import { invalidToken } from '../auth.problems.js';
import {
  MAIL_ACCEPTED,
  mailAcceptedSchema,
  type VerifyEmail,
  verifyEmailSchema,
} from './recovery.schema.js';
import { EmailVerification } from './verification.service.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';

/** The proof that an account's address is its owner's. */
@Controller('api/v1/auth/verify-email')
export class VerificationController {
  constructor(private readonly verification: EmailVerification) {}

  @Post()
  @Public()
  @SignInRoute()
  @HttpCode(204)
  @Operation({
    summary: 'Verify an e-mail address',
    description: 'With the token of the mail that was sent there at registration. It works once.',
    answers: { 204: { description: 'The address is verified' } },
    problems: [invalidToken, unsupportedMediaType, validationFailed],
  })
  verify(@Body({ schema: verifyEmailSchema }) { token }: VerifyEmail) {
    return this.verification.verify(token);
  }

  @Post('resend')
  @HttpCode(202)
  @Operation({
    summary: 'Have the mail sent again that verifies your e-mail address',
    description: 'Nothing is sent when it is verified already, nor more than five an hour.',
    answers: { 202: { description: 'It will be sent', schema: mailAcceptedSchema } },
    problems: [mailNotConfigured],
  })
  async resend(@CurrentUser() user: Principal) {
    await this.verification.askAgain(user.userId);
    return MAIL_ACCEPTED;
  }
}
