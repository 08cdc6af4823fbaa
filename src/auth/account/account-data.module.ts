import { Module } from '@nestjs/common';
import { PersonalData } from '../../core/personal-data/personal-data.js';
import { AccountMailModule } from '../mail/account-mail.module.js';
import { AccountTokenPersonalData } from '../mail/account-token-personal-data.js';
import { SecondFactorPersonalData } from '../second-factor/second-factor-personal-data.js';
import { SessionPersonalData } from '../sessions/session-personal-data.js';
import { AccountErasure } from './account-erasure.js';
import { StudioLeave } from './studio-leave.js';

/** What accounts hold on people, and its erasure: the API erases, and the worker once more. */
@Module({
  imports: [AccountMailModule],
  providers: [
    AccountErasure,
    AccountTokenPersonalData,
    SecondFactorPersonalData,
    SessionPersonalData,
    StudioLeave,
  ],
  exports: [AccountErasure],
})
export class AccountDataModule {
  constructor(
    personalData: PersonalData,
    tokens: AccountTokenPersonalData,
    secondFactors: SecondFactorPersonalData,
    sessions: SessionPersonalData,
  ) {
    personalData.register(tokens);
    personalData.register(secondFactors);
    personalData.register(sessions);
  }
}
