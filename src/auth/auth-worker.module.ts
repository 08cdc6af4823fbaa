import { Module } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { AccountMailModule } from './recovery/account-mail.module.js';
import { AccountTokens } from './recovery/account-tokens.js';
import { SecondFactorMails } from './second-factor/notices/second-factor-mails.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { Sessions } from './sessions/sessions.service.js';

const HOUR_MS = 3_600_000;

/** The work of accounts, for the worker: their mails, and forgetting what is over. */
@Module({
  imports: [AccountMailModule, SessionsModule, ReconcilerModule],
  providers: [SecondFactorMails],
})
export class AuthWorkerModule {
  constructor(reconciler: Reconciler, sessions: Sessions, tokens: AccountTokens) {
    reconciler.register({
      name: 'sessions to forget',
      everyMs: HOUR_MS,
      run: () => sessions.forgetEnded(),
    });
    reconciler.register({
      name: 'account tokens to forget',
      everyMs: HOUR_MS,
      run: () => tokens.forgetOld(),
    });
  }
}
