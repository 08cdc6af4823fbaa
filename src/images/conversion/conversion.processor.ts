import { Processor } from '@nestjs/bullmq';
import { workerOptions } from '../../queue/backend.js';
import {
  type Attempt,
  JobProcessor,
  JobServices,
  type WriteOutcome,
} from '../../queue/job-processor.js';
import { ImageConversion } from './conversion.service.js';
import type { Image } from '../image.entity.js';
import { convertImage } from './conversion.jobs.js';

/** Works on `image-conversion`. */
@Processor(convertImage.name, workerOptions)
export class ImageConversionProcessor extends JobProcessor<Image> {
  constructor(
    services: JobServices,
    private readonly conversion: ImageConversion,
  ) {
    super(convertImage, services, services.env.IMAGE_CONCURRENCY);
  }

  protected work(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    return this.conversion.convert(image, attempt);
  }
}
