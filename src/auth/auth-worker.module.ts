import { Module } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { Sessions } from './sessions/sessions.service.js';

const HOUR_MS = 3_600_000;

/** The work of accounts, for the worker. */
@Module({ imports: [SessionsModule, ReconcilerModule] })
export class AuthWorkerModule {
  constructor(reconciler: Reconciler, sessions: Sessions) {
    reconciler.register({
      name: 'sessions to forget',
      everyMs: HOUR_MS,
      run: () => sessions.forgetEnded(),
    });
  }
}
