import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../../core/env.js';
import { JobRefusal } from '../../queue/job-errors.js';
import { type Attempt, type WriteOutcome } from '../../queue/job-processor.js';
import { FileRemovals } from '../../storage/file-removals.js';
import { ObjectNotFound, Storage } from '../../storage/storage.js';
import { folderOf } from '../../storage/storage-key.js';
import { CONTAINER_FORMATS, type FormatName } from '../containers/container.js';
import { DecoderPool } from '../decoding/decoder-pool.js';
import { estimateMemoryMb } from '../decoding/memory-estimate.js';
import { together } from '../decoding/together.js';
import type { DecodeResult, MadeFile } from '../decoding/variants.js';
import { FILE_MISSING, type Image } from '../image.entity.js';
import { ImageQueries } from '../image.queries.js';
import { type FileSize, ImageVariant } from '../image-variant.entity.js';
import { asRefusal, isFatalToDecoder } from './refusals.js';

/** Where originals lie while they are decoded, below `DATA_DIR`. */
const WORK_FOLDER = 'work';
/** Longer than any attempt: what is older was left by a worker that was killed. */
const LEFT_BEHIND_AFTER_MS = 5 * 60 * 1_000;

/** Turns an upload into the files of an image. All are stored before the row is completed. */
@Injectable()
export class ImageConversion implements OnModuleInit, OnApplicationShutdown {
  private readonly workFolder: string;

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    private readonly removals: FileRemovals,
    private readonly queries: ImageQueries,
    private readonly decoders: DecoderPool,
    @Inject(ENV) private readonly env: Env,
  ) {
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
   * Makes and stores the files of an image. Doing it twice overwrites the same keys.
   *
   * @throws JobRefusal with what the picture or its file is refused for
   */
  async convert(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    const folder = await mkdtemp(join(this.workFolder, 'image-'));
    try {
      const source = join(folder, 'source');
      await this.download(image.storageKey, source, attempt.signal);
      const decoded = await this.decode(image, source, folder, attempt);
      const version = image.version + 1;
      const made = [{ name: 'original' as const, ...decoded.original }, ...decoded.variants];
      const files = await this.storeAll(image, version, made, attempt.signal);
      return (row, em) => this.replaceFiles(row, em, { version, files, decoded });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Removes what an attempt stored for an image that was deleted meanwhile. */
  async discardIfDeleted(image: Image): Promise<void> {
    if (await this.queries.find(image.id)) return;
    const folder = folderOf(image.storageKey);
    await this.removals.schedule(this.em, [folder], this.env.CLEANUP_GRACE_SECONDS);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.decoders.close();
  }

  private async download(key: string, path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.storage.download(key, path, { signal });
    } catch (error) {
      if (!(error instanceof ObjectNotFound)) throw error;
      throw new JobRefusal(FILE_MISSING, 'The file of the picture is gone.', { cause: error });
    }
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
      return await this.decoders.run(task, options).catch((error: unknown) => {
        // A decoder may die of something else once; a file that kills two is at fault itself.
        if (!isFatalToDecoder(error)) throw error;
        return this.decoders.run(task, options);
      });
    } catch (error) {
      throw asRefusal(error);
    }
  }

  /** All of them, or none: the last attempt leaves nothing behind that no row names. */
  private async storeAll(
    image: Image,
    version: number,
    made: (MadeFile & { name: FileSize; format: FormatName })[],
    signal: AbortSignal,
  ): Promise<ImageVariant[]> {
    const storing = made.map((file) => this.store(image, version, file, signal));
    try {
      return await together(storing);
    } catch (error) {
      // An attempt that was aborted may have a successor, which stores under the same names.
      if (!signal.aborted) await this.unstore(storing);
      throw error;
    }
  }

  private async unstore(storing: Promise<ImageVariant>[]): Promise<void> {
    for (const outcome of await Promise.allSettled(storing)) {
      if (outcome.status === 'rejected') continue;
      // Where even that fails, the nightly clean-up finds the file.
      await this.storage.delete(outcome.value.storageKey).catch(() => undefined);
    }
  }

  private async store(
    image: Image,
    version: number,
    { path, ...file }: MadeFile & { name: FileSize; format: FormatName },
    signal: AbortSignal,
  ): Promise<ImageVariant> {
    const { extension, mimeType } = CONTAINER_FORMATS[file.format];
    const storageKey = `${folderOf(image.storageKey)}${file.name}-${version}.${extension}`;
    await this.storage.uploadFile(storageKey, path, { contentType: mimeType, signal });
    return new ImageVariant({ imageId: image.id, storageKey, ...file });
  }

  /**
   * Puts a new version in the place of the one before. The upload, which holds what its owner did
   * not mean to show, goes at once; files that links lead to stay for the grace.
   */
  private async replaceFiles(
    image: Image,
    em: EntityManager,
    { version, files, decoded }: { version: number; files: ImageVariant[]; decoded: DecodeResult },
  ): Promise<void> {
    const older = await em.execute<{ storage_key: string }[]>(
      'delete from image_variants where image_id = ? returning storage_key',
      [image.id],
    );
    const upload = image.version === 0 ? [image.storageKey] : [];
    const linked = older.map(({ storage_key }) => storage_key);
    await this.removals.schedule(em, upload, 0);
    await this.removals.schedule(em, linked, this.env.CLEANUP_GRACE_SECONDS);
    em.persist(files);
    image.complete({
      ...decoded,
      version,
      storageKey: files[0]?.storageKey ?? image.storageKey,
      storedBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      width: decoded.original.width,
      height: decoded.original.height,
    });
  }
}
