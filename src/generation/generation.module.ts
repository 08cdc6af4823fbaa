import { Module } from '@nestjs/common';
import { AccessModule } from '../auth/access/access.module.js';
import { CoinsModule } from '../coins/coins.module.js';
import { Prices } from '../coins/costs/prices.js';
import { PersonalData } from '../core/personal-data/personal-data.js';
import { ImageMakers } from '../images/generated/image-makers.js';
import { ImagesModule } from '../images/images.module.js';
import { JobRegistry } from '../queue/job-registry.js';
import { QueueModule } from '../queue/queue.module.js';
import { Abandonments } from './abandonments.js';
import { AdminGenerationsController } from './costs/admin-generations.controller.js';
import { GenerationCosts } from './costs/generation-costs.js';
import { GenerationEndings } from './generation-endings.js';
import { GenerationEvents } from './generation-events.js';
import { paintPictures } from './generation.jobs.js';
import { GenerationLine } from './generation-line.js';
import { GenerationPersonalData } from './generation-personal-data.js';
import { GenerationQueries } from './generation.queries.js';
import { GenerationsController } from './generations.controller.js';
import { Generations } from './generations.service.js';
import { ModelsModule } from './models/models.module.js';
import { PicturePrices } from './picture-prices.js';

/** Generations as every process knows them. The API adds routes, the worker adds work. */
@Module({
  imports: [
    AccessModule,
    CoinsModule,
    ImagesModule,
    ModelsModule,
    QueueModule.forJob(paintPictures),
  ],
  controllers: [AdminGenerationsController, GenerationsController],
  providers: [
    Abandonments,
    GenerationCosts,
    GenerationEndings,
    GenerationEvents,
    GenerationLine,
    GenerationPersonalData,
    GenerationQueries,
    Generations,
    PicturePrices,
  ],
  exports: [GenerationEndings, ImagesModule, ModelsModule],
})
export class GenerationModule {
  constructor(
    registry: JobRegistry,
    makers: ImageMakers,
    personalData: PersonalData,
    prices: Prices,
    endings: GenerationEndings,
    generations: Generations,
    theirs: GenerationPersonalData,
  ) {
    registry.whenFailed(paintPictures, (...failure) => endings.endInVain(...failure));
    makers.register(endings);
    personalData.register(theirs);
    prices.register('generation', (asked) => generations.priceOf(asked));
  }
}
