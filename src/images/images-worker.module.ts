import { Module } from '@nestjs/common';
import { ImageConversion } from './conversion/conversion.service.js';
import { ImagesModule } from './images.module.js';
import { ImageConversionProcessor } from './conversion/conversion.processor.js';

/** The work of the images feature, for the worker. */
@Module({
  imports: [ImagesModule],
  providers: [ImageConversion, ImageConversionProcessor],
})
export class ImagesWorkerModule {}
