import { Inject, Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { FileRemovals } from './file-removals.js';
import { Storage } from './storage.js';
import { StorageModule } from './storage.module.js';

const MINUTE_MS = 60_000;

/** What the worker adds to storage: files that were given up, or never became whole, are removed. */
@Module({ imports: [StorageModule, ReconcilerModule] })
export class StorageWorkerModule {
  constructor(
    reconciler: Reconciler,
    removals: FileRemovals,
    storage: Storage,
    @Inject(ENV) env: Env,
  ) {
    reconciler.register({ name: 'files to remove', run: () => removals.removeDue() });
    // No upload that is under way goes on for longer.
    const olderThanMs = Math.max(env.CLEANUP_GRACE_SECONDS * 1_000, env.UPLOAD_TIMEOUT_MS);
    reconciler.register({
      name: 'files that killed processes left unfinished',
      everyMs: MINUTE_MS,
      run: () => storage.removeUnfinished(olderThanMs),
    });
  }
}
