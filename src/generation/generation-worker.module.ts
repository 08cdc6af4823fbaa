import { Module } from '@nestjs/common';
import { Reconciler } from '../core/reconciler/reconciler.js';
import { ReconcilerModule } from '../core/reconciler/reconciler.module.js';
import { ImagesWorkerModule } from '../images/images-worker.module.js';
import { GenerationModule } from './generation.module.js';
import { OverdueGenerations } from './overdue-generations.js';
import { GenerationProcessor } from './painting/generation.processor.js';
import { GenerationPainting } from './painting/generation-painting.js';
import { ModelCalls } from './painting/model-calls.js';
import { ModelSlots } from './painting/model-slots.js';
import { PictureMaking } from './painting/picture-making.js';
import { SourcePictures } from './painting/source-pictures.js';

/** The work of the generation feature, for the worker. */
@Module({
  imports: [GenerationModule, ImagesWorkerModule, ReconcilerModule],
  providers: [
    GenerationProcessor,
    GenerationPainting,
    ModelCalls,
    ModelSlots,
    OverdueGenerations,
    PictureMaking,
    SourcePictures,
  ],
})
export class GenerationWorkerModule {
  constructor(reconciler: Reconciler, overdue: OverdueGenerations) {
    reconciler.register({ name: 'overdue generations', run: (signal) => overdue.end(signal) });
  }
}
