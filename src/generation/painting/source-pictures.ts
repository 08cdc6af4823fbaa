import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { together } from '../../images/decoding/together.js';
import { ImageVariant } from '../../images/image-variant.entity.js';
import { JobRefusal } from '../../queue/job-errors.js';
import { Storage } from '../../storage/storage.js';
import type { Generation } from '../generation.entity.js';
import type { GenerationErrorCode } from '../generation-errors.js';
import type { ReferencePicture } from '../models/image-model.js';

const QUALITY = 90;

/** The pictures that a model is shown: as large as everyone sees them, without metadata, and still. */
@Injectable()
export class SourcePictures {
  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
  ) {}

  /**
   * @param folder for the files on their way
   * @throws JobRefusal when one of them was deleted meanwhile
   */
  load(
    { sourceImageIds }: Generation,
    folder: string,
    signal: AbortSignal,
  ): Promise<ReferencePicture[]> {
    return together(
      sourceImageIds.map(async (imageId, index) => {
        const file = await this.em
          .fork()
          .findOne(ImageVariant, { imageId, name: 'large', format: 'webp' });
        if (!file) throw sourceMissing();
        const path = join(folder, `source-${index}`);
        await this.storage.download(file.storageKey, path, { signal });
        return { bytes: await stillOf(await readFile(path)), mimeType: 'image/webp' };
      }),
    );
  }
}

/** A variant as it is; the first frame of one that is an animation, which Gemini would refuse. */
async function stillOf(variant: Buffer): Promise<Buffer> {
  // Not before: a worker that is asked for no such picture does without libvips.
  const { default: sharp } = await import('sharp');
  const { pages = 1 } = await sharp(variant).metadata();
  return pages > 1 ? sharp(variant).webp({ quality: QUALITY }).toBuffer() : variant;
}

function sourceMissing(): JobRefusal {
  return new JobRefusal(
    'source-missing' satisfies GenerationErrorCode,
    'An image that it was to be made from is gone. What does not come is not charged.',
  );
}
