import { Module } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { ImagesWorkerModule } from '../images/images-worker.module.js';
import { GenerationModule } from './generation.module.js';
import { GenerationProcessor } from './generation.processor.js';
import { ModelCalls } from './model-calls.js';
import { ModelRate } from './model-rate.js';
import { OverdueGenerations } from './overdue-generations.js';
import { PictureMaking } from './picture-making.js';
import { PicturePainting } from './picture-painting.js';
import { SourcePictures } from './source-pictures.js';

/** The work of the generation feature, for the worker. */
@Module({
  imports: [GenerationModule, ImagesWorkerModule, ReconcilerModule],
  providers: [
    GenerationProcessor,
    ModelCalls,
    ModelRate,
    OverdueGenerations,
    PictureMaking,
    PicturePainting,
    SourcePictures,
  ],
})
export class GenerationWorkerModule {
  constructor(reconciler: Reconciler, overdue: OverdueGenerations) {
    reconciler.register({ name: 'overdue generations', run: () => overdue.end() });
  }
}
