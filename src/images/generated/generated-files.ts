import { stat } from 'node:fs/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../../core/env.js';
import { JobRefusal } from '../../queue/job-errors.js';
import { patiently } from '../../queue/patience.js';
import { ContainerRefused } from '../containers/container.js';
import { ConversionMetrics } from '../conversion/conversion-metrics.js';
import { PictureDecoding } from '../conversion/picture-decoding.js';
import { readThrough } from '../conversion/read-through.js';
import { type StoredVersion, VersionFiles } from '../conversion/version-files.js';
import { WorkFolders } from '../conversion/work-folders.js';
import type { DecodeResult } from '../decoding/variants.js';
import type { Image } from '../image.entity.js';
import { FileInspection, type InspectedFile } from '../upload/file-inspection.js';
import { fileLimitsOf } from '../upload/incoming-file.js';
import type { MadePicture } from './generated-images.js';
import type { Provenance } from './provenance.js';
import { lockUnmade } from './unmade-images.js';

/** The code of a file that cannot become a picture: what models send is trusted no more than uploads. */
const BAD_OUTPUT = 'bad-output';
/**
 * The most bytes of what a model sends; a noisy PNG of 4K has some thirty million. Limits of uploads are
 * for what users send.
 */
const MOST_BYTES = 48 * 1024 * 1024;
/** How long files are tried to be stored once they are made, in milliseconds: the picture is paid for. */
const STORING_PATIENCE_MS = 30_000;

/** What the attempt that makes a picture allows. */
export interface MakingBounds {
  readonly signal: AbortSignal;
  /** How long the attempt may take, in milliseconds. Its files are kept for longer. */
  readonly timeoutMs: number;
}

/** Makes the files of images of what models sent, in the worker. */
@Injectable()
export class GeneratedFiles {
  private readonly logger = new Logger(GeneratedFiles.name);

  constructor(
    private readonly em: EntityManager,
    private readonly folders: WorkFolders,
    private readonly decoding: PictureDecoding,
    private readonly versions: VersionFiles,
    private readonly metrics: ConversionMetrics,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Makes and stores all files of a picture, as those of an upload: within the same limits, decoded in
   * a child, without the metadata that came with it. Each call makes a version of its own, so calling
   * it twice is harmless: one is completed, the other discarded. Storage that is away is waited for, and
   * nothing is decoded again.
   *
   * @param path of what the model sent, which stays where it is: any bytes at all
   * @returns undefined when nobody waits for the picture any more
   * @throws JobRefusal `bad-output` when the file is at fault; whatever is thrown, what was stored is
   * written down for removal
   */
  async make(
    imageId: string,
    path: string,
    provenance: Provenance,
    bounds: MakingBounds,
  ): Promise<MadePicture | undefined> {
    const { signal } = bounds;
    return this.folders.within(async (folder) => {
      const file = await blamingModel(signal, () => this.inspect(path, signal));
      const source = { ...file, path, provenance };
      const decoded = await blamingModel(signal, () =>
        this.decoding.decode(source, folder, signal),
      );
      const stored = await this.storePatiently(imageId, decoded, bounds);
      return stored && { imageId, provenance, file, stored, decoded };
    });
  }

  /** Removes the files of a picture that came too late. Those of a completed one stay. Never throws. */
  discard({ stored }: MadePicture): Promise<void> {
    return this.versions.discard(stored);
  }

  private async inspect(path: string, signal: AbortSignal): Promise<InspectedFile> {
    const limits = { ...fileLimitsOf(this.env), maxBytes: MOST_BYTES };
    const { size } = await stat(path);
    if (size > limits.maxBytes) {
      throw new JobRefusal(BAD_OUTPUT, `It has more than ${limits.maxBytes} bytes.`);
    }
    const inspection = new FileInspection(limits);
    await readThrough(path, signal, (chunk) => {
      inspection.see(chunk);
    });
    return inspection.end();
  }

  /** Where storage or the database is away for a moment: asking the model again would cost. */
  private storePatiently(
    imageId: string,
    decoded: DecodeResult,
    bounds: MakingBounds,
  ): Promise<StoredVersion | undefined> {
    return patiently(() => this.store(imageId, decoded, bounds), {
      forMs: STORING_PATIENCE_MS,
      signal: bounds.signal,
      onRest: (error, restMs) => {
        this.logger.warn({ err: error, imageId, restMs, msg: 'Files are stored again' });
      },
    });
  }

  /** Stores the files as a version that no other has: a file that was stored is never written again. */
  private async store(
    imageId: string,
    decoded: DecodeResult,
    { signal, timeoutMs }: MakingBounds,
  ): Promise<StoredVersion | undefined> {
    const image = await this.begin(imageId);
    return (
      image &&
      this.metrics.measure('store', () => this.versions.store(image, decoded, signal, timeoutMs))
    );
  }

  private begin(imageId: string): Promise<Image | undefined> {
    return this.em.fork().transactional(async (em) => {
      const [image] = await lockUnmade(em, [imageId]);
      image?.start();
      return image;
    });
  }
}

/** Calls every fault of a file by one name: clients have not sent it, and cannot mend it. */
async function blamingModel<T>(signal: AbortSignal, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    // Whoever has given up says why.
    signal.throwIfAborted();
    const isAtFault = error instanceof ContainerRefused || error instanceof JobRefusal;
    if (!isAtFault) throw error;
    throw new JobRefusal(BAD_OUTPUT, `The model sent no sound picture. ${error.message}`, {
      cause: error,
    });
  }
}
