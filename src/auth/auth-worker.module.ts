import { Module } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { AccountDataModule } from './account/account-data.module.js';
import { AccountErasure } from './account/account-erasure.js';
import { GoogleMails } from './google/google-mails.js';
import { AccountMailModule } from './mail/account-mail.module.js';
import { AccountTokens } from './mail/account-tokens.js';
import { SecondFactorMails } from './second-factor/notices/second-factor-mails.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { SessionUpkeep } from './sessions/session-upkeep.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The work of accounts, for the worker: their mails, and forgetting what is over or erased. */
@Module({
  imports: [AccountDataModule, AccountMailModule, SessionsModule, ReconcilerModule],
  providers: [GoogleMails, SecondFactorMails],
})
export class AuthWorkerModule {
  constructor(
    reconciler: Reconciler,
    sessions: SessionUpkeep,
    tokens: AccountTokens,
    erasure: AccountErasure,
  ) {
    reconciler.register({
      name: 'sessions to forget',
      everyMs: HOUR_MS,
      run: () => sessions.forgetEnded(),
    });
    reconciler.register({
      name: 'sessions beyond what an account may have',
      everyMs: HOUR_MS,
      run: () => sessions.endSurplus(),
    });
    reconciler.register({
      name: 'account tokens to forget',
      everyMs: HOUR_MS,
      run: () => tokens.forgetOld(),
    });
    reconciler.register({
      name: 'what was written for erased accounts',
      everyMs: 5 * MINUTE_MS,
      run: () => erasure.repeat(),
    });
  }
}
