import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { Operation } from '../../core/openapi/openapi.js';
import { unsupportedMediaType, validationFailed } from '../../core/problems/problem.js';
import { mailNotConfigured } from '../../mail/mail.problems.js';
import { CurrentUser, type Principal } from '../access/principal.js';
import { invalidToken } from '../auth.problems.js';
import { EmailVerification } from '../mail/verification.service.js';
import { SignInRoute } from '../sign-in/sign-in-route.js';
import {
  MAIL_ACCEPTED,
  mailAcceptedSchema,
  type VerifyEmail,
  verifyEmailSchema,
} from './recovery.schema.js';

/** The proof that an account's address is its owner's. */
@Controller('api/v1/auth/verify-email')
export class VerificationController {
  constructor(private readonly verification: EmailVerification) {}

  @Post()
  @SignInRoute()
  @HttpCode(204)
  @Operation({
    summary: 'Verify an e-mail address',
    description:
      'Signed in, with the token of the mail that was sent there at registration. It works once. So ' +
      'nobody vouches for an account that somebody else has made with their address.',
    answers: { 204: { description: 'The address is verified' } },
    problems: [invalidToken, unsupportedMediaType, validationFailed],
  })
  verify(
    @CurrentUser() user: Principal,
    @Body({ schema: verifyEmailSchema }) { token }: VerifyEmail,
  ) {
    return this.verification.verify(user, token);
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
