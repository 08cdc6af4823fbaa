import { Logger, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { Capabilities } from '../core/process/capabilities.js';
import { ENV, type Env } from '../core/env.js';
import { Readiness } from '../core/process/readiness.js';
import { DiskStorage } from './disk/disk.storage.js';
import { FileRemovals } from './file-removals.js';
import { FilesController } from './files.controller.js';
import { MeasuredStorage } from './measured.storage.js';
import { FileUrlSigner } from './signed-url.js';
import { Storage } from './storage.js';
import { StorageMetrics } from './storage-metrics.js';

/** The driver itself, so that Nest starts and stops it; everyone else asks for {@link Storage}. */
const DRIVER = Symbol('STORAGE_DRIVER');

/** Files, and the one place that chooses where they are kept. */
@Module({
  controllers: [FilesController],
  providers: [
    FileRemovals,
    FileUrlSigner,
    StorageMetrics,
    { provide: DRIVER, inject: [ENV, FileUrlSigner], useFactory: chooseDriver },
    {
      provide: Storage,
      inject: [DRIVER, StorageMetrics],
      useFactory: (driver: Storage, metrics: StorageMetrics) =>
        new MeasuredStorage(driver, metrics),
    },
  ],
  exports: [FileRemovals, Storage],
})
export class StorageModule implements OnApplicationBootstrap {
  private readonly logger = new Logger(StorageModule.name);

  constructor(
    private readonly storage: Storage,
    capabilities: Capabilities,
    readiness: Readiness,
  ) {
    const embedded = storage.driver === 'disk';
    capabilities.register({ part: 'files', driver: storage.driver, embedded });
    readiness.register('storage', () => storage.check());
  }

  /** A store that is away for a while keeps nothing from starting, but what is wrong is said at once. */
  onApplicationBootstrap(): void {
    this.storage.check().catch((error: unknown) => {
      this.logger.warn({ err: error, msg: `Files cannot be kept now: look at ${this.settings}` });
    });
  }

  private get settings(): string {
    return this.storage.driver === 'disk' ? 'DATA_DIR' : 'S3_ENDPOINT, S3_BUCKET and the keys';
  }
}

/** The one place that knows which drivers there are. */
async function chooseDriver(env: Env, urls: FileUrlSigner): Promise<Storage> {
  const { S3_BUCKET } = env;
  if (S3_BUCKET === undefined) return new DiskStorage(env, urls);
  const { S3Storage } = await import('./s3/s3.storage.js');
  return new S3Storage({ ...env, S3_BUCKET }, urls);
}
