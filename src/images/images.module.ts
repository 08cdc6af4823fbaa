import { Module } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { PersonalData } from '../core/personal-data/personal-data.js';
import { QueueModule } from '../queue/queue.module.js';
import { Storage } from '../storage/storage.js';
import { StorageModule } from '../storage/storage.module.js';
import { VersionFiles } from './conversion/version-files.js';
import { GeneratedImages } from './generated/generated-images.js';
import { ImageMakers } from './generated/image-makers.js';
import { ImageFiles } from './image-files.service.js';
import { DeletedImagePersonalData } from './deleted-image-personal-data.js';
import { ImagePersonalData } from './image-personal-data.js';
import { ImagePresenter } from './image.presenter.js';
import { ImageQueries } from './image.queries.js';
import { ImageQuota } from './upload/image-quota.js';
import { DiskResumableBytes } from './resumable/disk-resumable-bytes.js';
import { ResumableBytes } from './resumable/resumable-bytes.js';
import { StoredResumableBytes } from './resumable/stored-resumable-bytes.js';
import { ResumableCompletion } from './resumable/resumable-completion.js';
import { ResumableLeases } from './resumable/resumable-leases.js';
import { ResumablePersonalData } from './resumable/resumable-personal-data.js';
import { ResumableReception } from './resumable/resumable-reception.js';
import { ResumableUploadsController } from './resumable/resumable-uploads.controller.js';
import { ResumableUploads } from './resumable/resumable-uploads.service.js';
import { UploadFiles } from './upload/upload-files.js';
import { UploadPlaces } from './upload/upload-places.js';
import { ImageUploads } from './upload/uploads.service.js';
import { convertImage } from './conversion/conversion.jobs.js';
import { ImagesController } from './images.controller.js';
import { ImagesService } from './images.service.js';

/** Images as every process knows them. The API adds routes, the worker adds work. */
@Module({
  imports: [StorageModule, QueueModule.forJob(convertImage)],
  controllers: [ResumableUploadsController, ImagesController],
  providers: [
    DeletedImagePersonalData,
    GeneratedImages,
    ImageFiles,
    ImageMakers,
    ImagePersonalData,
    ImagePresenter,
    ImageQueries,
    ImageQuota,
    ImageUploads,
    ImagesService,
    {
      provide: ResumableBytes,
      inject: [ENV, Storage],
      useFactory: (env: Env, storage: Storage) =>
        storage.driver === 'disk' ? new DiskResumableBytes(env) : new StoredResumableBytes(storage),
    },
    ResumableCompletion,
    ResumableLeases,
    ResumablePersonalData,
    ResumableReception,
    ResumableUploads,
    UploadFiles,
    UploadPlaces,
    VersionFiles,
  ],
  exports: [
    GeneratedImages,
    ImageMakers,
    ImagePresenter,
    ImageQueries,
    ImagesService,
    ResumableCompletion,
    StorageModule,
    VersionFiles,
  ],
})
export class ImagesModule {
  constructor(
    personalData: PersonalData,
    images: ImagePersonalData,
    deletedImages: DeletedImagePersonalData,
    uploads: ResumablePersonalData,
  ) {
    personalData.register(images);
    personalData.register(deletedImages);
    personalData.register(uploads);
  }
}
