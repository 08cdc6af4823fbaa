import { writeFile } from 'node:fs';
import { promisify } from 'node:util';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Logger } from '@nestjs/common';
import { together } from '../../images/decoding/together.js';
import { GeneratedFiles } from '../../images/generated/generated-files.js';
import type { MadePicture } from '../../images/generated/generated-images.js';
import type { Provenance } from '../../images/generated/provenance.js';
import { JobRefusal } from '../../queue/job-errors.js';
import type { Attempt } from '../../queue/job-processor.js';
import { type Patience, patiently } from '../../queue/patience.js';
import { paintPictures } from '../generation.jobs.js';
import { nobodyWaits } from '../generation-refusals.js';
import type { Bill, ImageModel, PaintRequest } from '../models/image-model.js';
import { ModelRefusal } from '../models/model-errors.js';
import { type Deadline, ModelCalls } from './model-calls.js';

/**
 * In one piece. That of `fs/promises` writes half a megabyte at a time, each piece after whatever else the
 * process does, and pictures gather in memory while the answers after them are read.
 */
const writeWhole = promisify(writeFile);

/** How long an answer is tried to be written down, in milliseconds. */
const WRITING_PATIENCE_MS = 30_000;

/** One of the pictures of a generation. */
export interface PictureTask {
  generationId: string;
  imageId: string;
  request: PaintRequest;
  /** Where the model's answer is to lie until it is made an image of. */
  path: string;
}

/** A picture that came, its files stored. */
interface Made {
  made: MadePicture;
}

/** One that there will not be. */
interface Refused {
  imageId: string;
  refusal: JobRefusal;
}

/** One that there is none of by a fault of ours. */
interface Failed {
  imageId: string;
  fault: unknown;
}

export type PictureOutcome = Made | Refused | Failed;

/** Makes the pictures of generations, each by itself: what befalls one is no matter of the others. */
@Injectable()
export class PictureMaking {
  private readonly logger = new Logger(PictureMaking.name);

  constructor(
    private readonly em: EntityManager,
    private readonly calls: ModelCalls,
    private readonly files: GeneratedFiles,
  ) {}

  /**
   * Asks for a picture until the deadline, and makes its files of what comes, for which there is time
   * beyond that. Files that no row names in the end go with the attempt.
   *
   * @throws what the attempt is aborted for
   */
  async make(
    task: PictureTask,
    model: ImageModel,
    deadline: Deadline,
    attempt: Attempt,
  ): Promise<PictureOutcome> {
    const { imageId, path } = task;
    const bounds = { signal: attempt.signal, timeoutMs: paintPictures.timeoutMs };
    try {
      const provenance = await this.ask(task, model, deadline, attempt.signal);
      const made = await this.files.make(imageId, path, provenance, bounds);
      if (!made) return { imageId, refusal: nobodyWaits() };
      attempt.onceOver(() => this.files.discard(made));
      return { made };
    } catch (error) {
      attempt.signal.throwIfAborted();
      if (error instanceof JobRefusal) return { imageId, refusal: error };
      this.logger.error({ err: error, imageId, msg: 'A picture failed for a reason of ours' });
      return { imageId, fault: error };
    }
  }

  /**
   * Has what the answer took written down, whatever it is: it is to be paid for.
   *
   * @param signal the attempt's: what has come has time beyond the deadline
   */
  private async ask(
    { generationId, request, path }: PictureTask,
    model: ImageModel,
    deadline: Deadline,
    signal: AbortSignal,
  ): Promise<Provenance> {
    try {
      const { bytes, ...bill } = await this.calls.paint(model, request, deadline);
      await together([
        patiently(() => writeWhole(path, bytes), this.patience(signal)),
        this.record(generationId, bill, signal),
      ]);
      const { driver, name, digitalSourceType } = model;
      return { model: name, driver, generatedAt: new Date().toISOString(), digitalSourceType };
    } catch (error) {
      if (error instanceof ModelRefusal) await this.record(generationId, error.bill, signal);
      throw error;
    }
  }

  /** A bill that cannot be written down is told to the operator, and costs nobody a picture. */
  private async record(
    generationId: string,
    { usage, costMicros }: Bill,
    signal: AbortSignal,
  ): Promise<void> {
    if (usage === null) return;
    const write = () =>
      this.em.fork().execute(
        `update generations
         set usage = coalesce(usage, '[]'::jsonb) || ?::jsonb,
             cost_micros = case when ?::bigint is null then cost_micros
                                else coalesce(cost_micros, 0) + ?::bigint end
         where id = ?`,
        [JSON.stringify([usage]), costMicros, costMicros, generationId],
      );
    try {
      await patiently(write, this.patience(signal));
    } catch (error) {
      const msg = 'What an answer of the model took is not written down';
      this.logger.error({ err: error, generationId, usage, costMicros, msg });
    }
  }

  private patience(signal: AbortSignal): Patience {
    const onRest = (error: unknown, restMs: number) => {
      this.logger.warn({ err: error, restMs, msg: 'What a model has sent is written down again' });
    };
    return { forMs: WRITING_PATIENCE_MS, signal, onRest };
  }
}
