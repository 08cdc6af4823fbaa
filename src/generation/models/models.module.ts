import { Inject, Module } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { Capabilities } from '../../core/process/capabilities.js';
import { ImageModels } from './image-models.js';
import { modelCapability } from './model-driver.js';

/** What pictures are asked of, for the API, which names it, and the worker, which asks it. */
@Module({ providers: [ImageModels], exports: [ImageModels] })
export class ModelsModule {
  constructor(capabilities: Capabilities, @Inject(ENV) env: Env) {
    capabilities.register(modelCapability(env));
  }
}
