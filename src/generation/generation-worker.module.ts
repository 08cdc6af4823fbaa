import { Module } from '@nestjs/common';
import { ImagesWorkerModule } from '../images/images-worker.module.js';
import { GenerationModule } from './generation.module.js';
import { GenerationProcessor } from './generation.processor.js';
import { ModelCalls } from './model-calls.js';
import { ModelTurns } from './model-turns.js';
import { PicturePainting } from './painting.service.js';
import { SourcePictures } from './source-pictures.js';

/** The work of the generation feature, for the worker. */
@Module({
  imports: [GenerationModule, ImagesWorkerModule],
  providers: [GenerationProcessor, ModelCalls, ModelTurns, PicturePainting, SourcePictures],
})
export class GenerationWorkerModule {}
