import { Module } from '@nestjs/common';
import { SignInModule } from '../sign-in/sign-in.module.js';
import { EmailChangeController } from './email-change.controller.js';
import { EmailChange } from './email-change.service.js';
import { PasswordResetController } from './password-reset.controller.js';
import { PasswordReset } from './password-reset.service.js';
import { VerificationController } from './verification.controller.js';

/** What is proved by mail: an address, a new one, and whose a forgotten password is. */
@Module({
  imports: [SignInModule],
  controllers: [VerificationController, PasswordResetController, EmailChangeController],
  providers: [EmailChange, PasswordReset],
})
export class RecoveryModule {}
