import { Inject, Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { ConversionMetrics } from './conversion/conversion-metrics.js';
import { ImageConversion } from './conversion/conversion.service.js';
import { DecoderPool } from './decoding/decoder-pool.js';
import { ImagesModule } from './images.module.js';
import { ResumableCompletion } from './resumable/resumable-completion.js';
import { SourceFile } from './conversion/source-file.js';
import { PictureDecoding } from './conversion/picture-decoding.js';
import { WorkFolders } from './conversion/work-folders.js';
import { GeneratedFiles } from './generated/generated-files.js';
import { ImageConversionProcessor } from './conversion/conversion.processor.js';
import { ImageRetention } from './upkeep/image-retention.js';
import { ImageUpkeepModule } from './upkeep/image-upkeep.module.js';
import { ImageUpkeep } from './upkeep/image-upkeep.service.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The work of the images feature, for the worker. */
@Module({
  imports: [ImagesModule, ImageUpkeepModule, ReconcilerModule],
  providers: [
    ConversionMetrics,
    GeneratedFiles,
    ImageConversion,
    ImageConversionProcessor,
    PictureDecoding,
    SourceFile,
    WorkFolders,
    {
      provide: DecoderPool,
      inject: [ENV, ConversionMetrics],
      useFactory: (env: Env, metrics: ConversionMetrics) =>
        new DecoderPool({
          size: env.IMAGE_CONCURRENCY,
          memoryMb: env.DECODE_MEMORY_MB,
          measure: (stage, work) => metrics.measure(stage, work),
        }),
    },
  ],
  exports: [GeneratedFiles, ImagesModule, WorkFolders],
})
export class ImagesWorkerModule {
  constructor(
    reconciler: Reconciler,
    folders: WorkFolders,
    resumable: ResumableCompletion,
    upkeep: ImageUpkeep,
    retention: ImageRetention,
    @Inject(ENV) env: Env,
  ) {
    reconciler.register({
      name: 'uploads that killed workers left',
      everyMs: MINUTE_MS,
      run: () => folders.removeLeftovers(),
    });
    reconciler.register({
      name: 'resumable uploads that nobody continues',
      everyMs: MINUTE_MS,
      run: () => resumable.sweep(),
    });
    reconciler.register({
      name: 'deleted images to forget',
      everyMs: HOUR_MS,
      run: () => retention.forgetDeleted(),
    });
    reconciler.register({
      name: 'nightly clean-up of images',
      dailyAt: env.CLEANUP_AT,
      run: (signal) => upkeep.runNightly(signal),
    });
  }
}
