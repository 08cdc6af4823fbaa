import { Module } from '@nestjs/common';
import { AccountMailModule } from '../mail/account-mail.module.js';
import { Challenges } from './challenges.js';
import { Codes } from './codes/codes.service.js';
import { SealedSecrets } from './codes/sealed-secrets.js';
import { SecondFactors } from './second-factors.service.js';

/** Which accounts sign in with two factors, and what their codes are worth. */
@Module({
  imports: [AccountMailModule],
  providers: [Challenges, Codes, SealedSecrets, SecondFactors],
  exports: [Challenges, Codes, SealedSecrets, SecondFactors],
})
export class SecondFactorModule {}
