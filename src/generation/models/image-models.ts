import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { Problem } from '../../core/problems/problem.js';
import { TRAINED_ALGORITHMIC_MEDIA } from '../../images/generated/provenance.js';
import { geminiSettings } from './gemini/gemini-settings.js';
import type { ImageModel } from './image-model.js';
import { LoadedWhenAsked } from './loaded-when-asked.js';
import { modelDriver } from './model-driver.js';
import { generationNotConfigured } from './models.problems.js';

/** What the local painter is called. Another number paints other pictures. */
export const LOCAL_MODEL = 'local-painter-1';

/** The models that pictures can be asked of, and the one place that chooses. */
@Injectable()
export class ImageModels {
  private readonly chosen: ImageModel | null;

  constructor(@Inject(ENV) env: Env) {
    this.chosen = choose(env);
  }

  /** Whether pictures are made at all. */
  get isConfigured(): boolean {
    return this.chosen !== null;
  }

  /**
   * The model that pictures are asked of.
   *
   * @throws Problem `generation-not-configured`
   */
  current(): ImageModel {
    if (!this.chosen) throw new Problem(generationNotConfigured);
    return this.chosen;
  }
}

function choose(env: Env): ImageModel | null {
  const gemini = geminiSettings(env);
  if (gemini) {
    return new LoadedWhenAsked('gemini', gemini.model, TRAINED_ALGORITHMIC_MEDIA, async () => {
      const { GeminiImageModel } = await import('./gemini/gemini.image-model.js');
      return new GeminiImageModel(gemini);
    });
  }
  if (modelDriver(env) === 'not-configured') return null;
  return new LoadedWhenAsked('local', LOCAL_MODEL, null, async () => {
    const { LocalImageModel } = await import('./local/local.image-model.js');
    return new LocalImageModel(LOCAL_MODEL);
  });
}
