import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { makeDataFolder } from '../../core/process/data-folder.js';
import { type Attempt, type WriteOutcome } from '../../queue/job-processor.js';
import { DecoderPool, type RunOptions } from '../decoding/decoder-pool.js';
import { estimateMemoryMb } from '../decoding/memory-estimate.js';
import type { DecodeResult, DecodeTask } from '../decoding/variants.js';
import type { Image } from '../image.entity.js';
import { ConversionMetrics } from './conversion-metrics.js';
import { asRefusal, isFatalToDecoder } from './refusals.js';
import { SourceFile } from './source-file.js';
import { VersionFiles } from './version-files.js';

/** Where files lie while they are decoded, below `DATA_DIR`. */
const WORK_FOLDER = 'work';
/** Longer than any attempt: what is older was left by a worker that was killed. */
const LEFT_BEHIND_AFTER_MS = 5 * 60 * 1_000;

/** Turns an upload into the files of an image. All are stored before the row is completed. */
@Injectable()
export class ImageConversion implements OnModuleInit, OnApplicationShutdown {
  private readonly workFolder: string;

  constructor(
    private readonly sources: SourceFile,
    private readonly versions: VersionFiles,
    private readonly decoders: DecoderPool,
    private readonly metrics: ConversionMetrics,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.workFolder = join(env.DATA_DIR, WORK_FOLDER);
  }

  /** Uploads hold what their owners did not mean to show: none stays behind a killed worker. */
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
    await makeDataFolder(this.workFolder);
  }

  /**
   * Makes and stores the files of an image. Doing it twice makes two versions, of which one is kept.
   *
   * @throws JobRefusal with what the picture or its file is refused for
   */
  async convert(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    const folder = await mkdtemp(join(this.workFolder, 'image-'));
    try {
      const source = join(folder, 'source');
      await this.metrics.measure('fetch', () => this.sources.fetch(image, source, attempt));
      const decoded = await this.decode(image, source, folder, attempt);
      const stored = await this.metrics.measure('store', () =>
        this.versions.store(image, decoded, attempt.signal),
      );
      return (row, em) => this.versions.replace(row, em, stored, decoded);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.decoders.close();
  }

  private async decode(
    image: Image,
    input: string,
    outputFolder: string,
    attempt: Attempt,
  ): Promise<DecodeResult> {
    const task = {
      input,
      outputFolder,
      maxPixels: this.env.IMAGE_MAX_PIXELS,
      maxFrames: this.env.IMAGE_MAX_FRAMES,
      quality: this.env.WEBP_QUALITY,
      effort: this.env.WEBP_EFFORT,
      avif: this.env.IMAGE_AVIF,
    };
    const options = {
      memoryMb: estimateMemoryMb(image.metadata, image.metadata.size),
      timeoutMs: this.env.IMAGE_DECODE_TIMEOUT_MS,
      signal: attempt.signal,
    };
    try {
      return await this.runDecoder(task, options).catch((error: unknown) => {
        // A decoder may die of something else once; a file that kills two is at fault itself.
        if (!isFatalToDecoder(error)) throw error;
        return this.runDecoder(task, options);
      });
    } catch (error) {
      throw asRefusal(error);
    }
  }

  private async runDecoder(task: DecodeTask, options: RunOptions): Promise<DecodeResult> {
    try {
      return await this.decoders.run(task, options);
    } catch (error) {
      this.metrics.countDeath(error);
      throw error;
    }
  }
}
