import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { JobRefusal } from '../../queue/job-errors.js';
import { type Attempt, type WriteOutcome } from '../../queue/job-processor.js';
import { Storage } from '../../storage/storage.js';
import { DecoderCrashed, DecoderPool, DecoderTimedOut } from '../decoding/decoder-pool.js';
import { type DecodedVariant, DecodeRefused, type DecodeResult } from '../decoding/variants.js';
import { type Image, ImageVariant } from '../image.entity.js';
import { ImageQueries } from '../image.queries.js';
import { ImagesService } from '../images.service.js';

/** Where originals lie while they are decoded, below `DATA_DIR`. */
const WORK_FOLDER = 'work';
/** Longer than any attempt: what is older was left by a worker that was killed. */
const LEFT_BEHIND_AFTER_MS = 5 * 60 * 1_000;

/** Turns an original into its variants. All of them are stored before the row is completed. */
@Injectable()
export class ImageConversion implements OnModuleInit, OnApplicationShutdown {
  private readonly workFolder: string;
  private readonly decoders: DecoderPool;

  constructor(
    private readonly storage: Storage,
    private readonly queries: ImageQueries,
    private readonly images: ImagesService,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.decoders = new DecoderPool({ size: env.IMAGE_CONCURRENCY });
    this.workFolder = join(env.DATA_DIR, WORK_FOLDER);
  }

  /** Originals hold what their owners did not mean to show: none stays behind a killed worker. */
  async removeLeftovers(): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.workFolder)) {
      const path = join(this.workFolder, name);
      const info = await stat(path).catch(() => undefined);
      const isOld = info && Date.now() - info.mtimeMs > LEFT_BEHIND_AFTER_MS;
      if (!isOld) continue;
      await rm(path, { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }

  async onModuleInit(): Promise<void> {
    await mkdir(this.workFolder, { recursive: true, mode: 0o700 });
  }

  /**
   * Makes and stores the variants of an image. Doing it twice overwrites the same keys.
   *
   * @throws JobRefusal `undecodable`, `too-many-pixels`, `decoder-crashed`, `decode-timeout`
   */
  async convert(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    const folder = await mkdtemp(join(this.workFolder, 'image-'));
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
    const options = { timeoutMs: this.env.IMAGE_DECODE_TIMEOUT_MS, signal: attempt.signal };
    try {
      return await this.decoders.run(task, options).catch((error: unknown) => {
        // A decoder may die of something else once; a file that kills two is at fault itself.
        if (!isFatalToDecoder(error)) throw error;
        return this.decoders.run(task, options);
      });
    } catch (error) {
      throw asRefusal(error);
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

function isFatalToDecoder(error: unknown): boolean {
  return error instanceof DecoderCrashed || error instanceof DecoderTimedOut;
}

/** The file's own faults end its work; anything else is thrown as it is, and tried again. */
function asRefusal(error: unknown): unknown {
  if (error instanceof DecodeRefused) {
    return error.code === 'too-many-pixels'
      ? new JobRefusal(error.code, 'The picture has more pixels than are taken.', { cause: error })
      : new JobRefusal(error.code, 'The file is damaged or is no picture.', { cause: error });
  }
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
