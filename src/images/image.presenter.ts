import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { Storage } from '../storage/storage.js';
import { type ImageAnswer, type ImageRow, presentImage } from './image.schema.js';

/** Presents images with links to their files that work for a while without signing in. */
@Injectable()
export class ImagePresenter {
  constructor(
    private readonly storage: Storage,
    @Inject(ENV) private readonly env: Env,
  ) {}

  present(image: ImageRow): Promise<ImageAnswer> {
    return presentImage(image, (key) =>
      this.storage.createSignedUrl(key, this.env.SIGNED_URL_SECONDS),
    );
  }
}
