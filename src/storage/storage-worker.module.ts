import { Module } from '@nestjs/common';
import { Reconciler } from '../core/reconciler.js';
import { ReconcilerModule } from '../core/reconciler.module.js';
import { FileRemovals } from './file-removals.js';
import { StorageModule } from './storage.module.js';

/** What the worker adds to storage: files that were given up are removed. */
@Module({ imports: [StorageModule, ReconcilerModule] })
export class StorageWorkerModule {
  constructor(reconciler: Reconciler, removals: FileRemovals) {
    reconciler.register({ name: 'files to remove', run: () => removals.removeDue() });
  }
}
