import { Processor } from '@nestjs/bullmq';
import { workerOptions } from '../../queue/backend.js';
import {
  type Attempt,
  JobProcessor,
  JobServices,
  type WriteOutcome,
} from '../../queue/job-processor.js';
import type { Generation } from '../generation.entity.js';
import { paintPictures } from '../generation.jobs.js';
import { GenerationPainting } from './generation-painting.js';

/** Works on `picture-generation`. */
@Processor(paintPictures.name, workerOptions)
export class GenerationProcessor extends JobProcessor<Generation> {
  constructor(
    services: JobServices,
    private readonly painting: GenerationPainting,
  ) {
    super(paintPictures, services, services.env.GENERATION_CONCURRENCY);
  }

  protected work(generation: Generation, attempt: Attempt): Promise<WriteOutcome<Generation>> {
    return this.painting.paint(generation, attempt);
  }
}
