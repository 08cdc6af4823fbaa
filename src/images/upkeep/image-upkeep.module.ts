import { Module } from '@nestjs/common';
import { StorageModule } from '../../storage/storage.module.js';
import { ImageRetention } from './image-retention.js';
import { ImageUpkeep } from './image-upkeep.service.js';
import { LostFiles } from './lost-files.js';
import { StrayFiles } from './stray-files.js';

/** Clean-up and verification of images: for the worker, by night, and for `npm run images:verify`. */
@Module({
  imports: [StorageModule],
  providers: [ImageRetention, ImageUpkeep, LostFiles, StrayFiles],
  exports: [ImageRetention, ImageUpkeep],
})
export class ImageUpkeepModule {}
