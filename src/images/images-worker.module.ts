import { Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Reconciler } from '../core/reconciler.js';
import { ReconcilerModule } from '../core/reconciler.module.js';
import { ImageConversion } from './conversion/conversion.service.js';
import { DecoderPool } from './decoding/decoder-pool.js';
import { ImagesModule } from './images.module.js';
import { ImageConversionProcessor } from './conversion/conversion.processor.js';

const MINUTE_MS = 60_000;

/** The work of the images feature, for the worker. */
@Module({
  imports: [ImagesModule, ReconcilerModule],
  providers: [
    ImageConversion,
    ImageConversionProcessor,
    {
      provide: DecoderPool,
      inject: [ENV],
      useFactory: (env: Env) =>
        new DecoderPool({ size: env.IMAGE_CONCURRENCY, memoryMb: env.DECODE_MEMORY_MB }),
    },
  ],
})
export class ImagesWorkerModule {
  constructor(reconciler: Reconciler, conversion: ImageConversion) {
    reconciler.register({
      name: 'originals that killed workers left',
      everyMs: MINUTE_MS,
      run: () => conversion.removeLeftovers(),
    });
  }
}
