import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { type Attempt, JobRefusal, type WriteOutcome } from '../../queue/job-processor.js';
import { Storage } from '../../storage/storage.js';
import { DecoderCrashed, DecoderPool, DecoderTimedOut } from '../decoding/decoder-pool.js';
import { type DecodedVariant, DecodeRefused, type DecodeResult } from '../decoding/variants.js';
import { type Image, ImageVariant } from '../image.entity.js';
import { ImageQueries } from '../image.queries.js';
import { ImagesService } from '../images.service.js';

/** A picture that kills or hangs its decoder twice is at fault itself. */
const TRIES_PER_PICTURE = 2;

/** Turns an original into its variants. All of them are stored before the row is completed. */
@Injectable()
export class ImageConversion implements OnApplicationShutdown {
  private readonly decoders: DecoderPool;

  constructor(
    private readonly storage: Storage,
    private readonly queries: ImageQueries,
    private readonly images: ImagesService,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.decoders = new DecoderPool({ size: env.IMAGE_CONCURRENCY });
  }

  /**
   * Makes and stores the variants of an image. Doing it twice overwrites the same keys.
   *
   * @throws JobRefusal `undecodable`, `too-many-pixels`, `decoder-crashed`, `decode-timeout`
   */
  async convert(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    const folder = await mkdtemp(join(tmpdir(), 'atelier-image-'));
    try {
      const original = join(folder, 'original');
      const { stream } = await this.storage.get(image.storageKey);
      await pipeline(stream, createWriteStream(original), { signal: attempt.signal });
      const decoded = await this.decode(original, folder, attempt);
      const variants = await Promise.all(
        decoded.variants.map((variant) => this.store(image, variant, attempt.signal)),
      );
      return (row, em) => {
        row.complete(decoded);
        em.persist(variants);
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Removes what an attempt stored for an image that was deleted meanwhile. */
  async discardIfDeleted(image: Image): Promise<void> {
    if (await this.queries.find(image.id)) return;
    await this.images.removeFiles(image.userId, image.storageKey);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.decoders.close();
  }

  private async decode(
    input: string,
    outputFolder: string,
    attempt: Attempt,
  ): Promise<DecodeResult> {
    const task = {
      input,
      outputFolder,
      maxPixels: this.env.IMAGE_MAX_PIXELS,
      quality: this.env.WEBP_QUALITY,
      effort: this.env.WEBP_EFFORT,
    };
    const timeoutMs = this.env.IMAGE_DECODE_TIMEOUT_MS;
    try {
      return await this.decoders.run(task, { timeoutMs, signal: attempt.signal });
    } catch (error) {
      throw asRefusal(error, attempt);
    }
  }

  private async store(
    image: Image,
    { path, ...variant }: DecodedVariant,
    signal: AbortSignal,
  ): Promise<ImageVariant> {
    const storageKey = image.storageKey.replace(/[^/]+$/, `${variant.name}.webp`);
    const options = { contentType: 'image/webp', signal };
    await this.storage.upload(storageKey, createReadStream(path), options);
    return new ImageVariant({ imageId: image.id, storageKey, ...variant });
  }
}

/** The file's own faults end its work; anything else is thrown as it is, and tried again. */
function asRefusal(error: unknown, { number }: Attempt): unknown {
  if (error instanceof DecodeRefused) {
    return error.code === 'too-many-pixels'
      ? new JobRefusal(error.code, 'The picture has more pixels than are taken.', { cause: error })
      : new JobRefusal(error.code, 'The file is damaged or is no picture.', { cause: error });
  }
  if (number < TRIES_PER_PICTURE) return error;
  if (error instanceof DecoderCrashed) {
    return new JobRefusal('decoder-crashed', 'The file cannot be decoded safely.', {
      cause: error,
    });
  }
  if (error instanceof DecoderTimedOut) {
    return new JobRefusal('decode-timeout', 'The file takes too long to decode.', { cause: error });
  }
  return error;
}
