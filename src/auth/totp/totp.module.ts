import { Module } from '@nestjs/common';
import { SignInModule } from '../sign-in/sign-in.module.js';
import { TotpSettingsController } from './totp-settings.controller.js';
import { TotpSettings } from './totp-settings.service.js';
import { TotpSignInController } from './totp-sign-in.controller.js';
import { TotpSignIn } from './totp-sign-in.service.js';

/** Codes of authenticators: the second step of signing in, and how it is switched on and off. */
@Module({
  imports: [SignInModule],
  controllers: [TotpSettingsController, TotpSignInController],
  providers: [TotpSettings, TotpSignIn],
})
export class TotpModule {}
