import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { postHold } from '../coins/ledger.js';
import { ENV, type Env } from '../core/env.js';
import { WorkFolders } from '../images/conversion/work-folders.js';
import { together } from '../images/decoding/together.js';
import { GeneratedFiles } from '../images/generated/generated-files.js';
import { GeneratedImages, type MadePicture } from '../images/generated/generated-images.js';
import { JobRefusal } from '../queue/job-errors.js';
import type { Attempt, WriteOutcome } from '../queue/job-processor.js';
import { imageIdsOf } from './generation-endings.js';
import { CANCELLED, type Generation, SEEDS } from './generation.entity.js';
import { type Deadline, ModelCalls, timedOut } from './model-calls.js';
import type { Bill, ImageModel, Painting, PaintRequest } from './models/image-model.js';
import { ImageModels } from './models/image-models.js';
import { ModelRefusal } from './models/model-errors.js';
import { SourcePictures } from './source-pictures.js';

/** One of the pictures of a generation. */
interface PictureTask {
  generationId: string;
  imageId: string;
  request: PaintRequest;
  /** Where the model's answer lies until it is made an image of. */
  path: string;
}

/** A picture that came, its files stored. */
interface Made {
  made: MadePicture;
}

/** One that did not. */
interface Refused {
  imageId: string;
  refusal: JobRefusal;
}

type Outcome = Made | Refused;

/** Has a model paint what a generation asks for, and makes its images of that. */
@Injectable()
export class PicturePainting {
  constructor(
    private readonly em: EntityManager,
    private readonly models: ImageModels,
    private readonly calls: ModelCalls,
    private readonly sources: SourcePictures,
    private readonly images: GeneratedImages,
    private readonly files: GeneratedFiles,
    private readonly folders: WorkFolders,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Makes all pictures of a generation, side by side. Those that come are paid for, and the coins for
   * the others go back. Doing it twice makes them twice, of which one attempt is kept.
   *
   * @throws JobRefusal when none came
   */
  async paint(generation: Generation, { signal }: Attempt): Promise<WriteOutcome<Generation>> {
    const startedAt = performance.now();
    const leftMs = await this.timeLeft(generation);
    if (leftMs <= 0) throw timedOut();
    const time = new AbortController();
    const timer = setTimeout(() => {
      time.abort(timedOut());
    }, leftMs);
    const deadline = { at: startedAt + leftMs, signal: AbortSignal.any([signal, time.signal]) };
    try {
      return await this.folders.within(async (folder) => {
        const tasks = await this.begin(generation, folder, deadline.signal);
        const model = this.models.current();
        const outcomes = await together(
          tasks.map((task) => this.makePicture(task, model, deadline)),
        );
        return this.settle(outcomes, Math.round(performance.now() - startedAt));
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Until its deadline, in milliseconds: by the database's clock, and from the first attempt on. */
  private async timeLeft({ id }: Generation): Promise<number> {
    const [row] = await this.em.execute<{ leftMs: number }[]>(
      `update generations
       set deadline_at = coalesce(deadline_at, now() + make_interval(secs => ?))
       where id = ?
       returning (extract(epoch from deadline_at - now()) * 1000)::float8 as "leftMs"`,
      [this.env.GENERATION_DEADLINE, id],
    );
    return row?.leftMs ?? 0;
  }

  private async begin(
    generation: Generation,
    folder: string,
    signal: AbortSignal,
  ): Promise<PictureTask[]> {
    const ids = await this.em.fork().transactional(async (em) => {
      const ids = await imageIdsOf(em, generation.id);
      await this.images.start(em, ids);
      return ids;
    });
    const sources = await this.sources.load(generation, folder, signal);
    const { prompt, aspectRatio, size, seed, style = null } = generation;
    return ids.map((imageId, position) => ({
      ...{ generationId: generation.id, imageId },
      request: { prompt, aspectRatio, size, seed: (seed + position) % SEEDS, style, sources },
      path: join(folder, `picture-${position}`),
    }));
  }

  private async makePicture(
    task: PictureTask,
    model: ImageModel,
    deadline: Deadline,
  ): Promise<Outcome> {
    const { imageId, path } = task;
    try {
      const { bytes } = await this.ask(task, model, deadline);
      await writeFile(path, bytes);
      const { driver, name, digitalSourceType } = model;
      const generatedAt = new Date().toISOString();
      const provenance = { model: name, driver, generatedAt, digitalSourceType };
      const made = await this.files.make(imageId, path, provenance, deadline.signal);
      return made ? { made } : { imageId, refusal: nobodyWaits() };
    } catch (error) {
      if (error instanceof JobRefusal) return { imageId, refusal: error };
      throw error;
    }
  }

  /** Has what the answer took written down, whatever it is: it is to be paid for. */
  private async ask(
    { generationId, request }: PictureTask,
    model: ImageModel,
    deadline: Deadline,
  ): Promise<Painting> {
    try {
      const painting = await this.calls.paint(model, request, deadline);
      await this.record(generationId, painting);
      return painting;
    } catch (error) {
      if (error instanceof ModelRefusal) await this.record(generationId, error.bill);
      throw error;
    }
  }

  private async record(generationId: string, { usage, costMicros }: Bill): Promise<void> {
    if (usage === null) return;
    await this.em.fork().execute(
      `update generations
       set usage = coalesce(usage, '[]'::jsonb) || ?::jsonb,
           cost_micros = case when ?::bigint is null then cost_micros
                              else coalesce(cost_micros, 0) + ?::bigint end
       where id = ?`,
      [JSON.stringify([usage]), costMicros, costMicros, generationId],
    );
  }

  /** @throws JobRefusal with what the first picture was refused for, when none came */
  private settle(outcomes: Outcome[], latencyMs: number): WriteOutcome<Generation> {
    const came = outcomes.filter((outcome) => 'made' in outcome);
    const refused = outcomes.filter((outcome) => 'refusal' in outcome);
    if (came.length === 0) throw reasonOf(refused);
    return async (row, em) => {
      let pictures = 0;
      for (const { made } of came) {
        if (await this.images.complete(em, made, row.pricePerPicture)) pictures += 1;
      }
      if (pictures === 0) throw nobodyWaits();
      for (const { imageId, refusal } of refused) {
        await this.images.fail(em, [imageId], { code: refusal.code, detail: refusal.message });
      }
      const coins = row.complete(pictures, latencyMs);
      if (!(await postHold(em, row.holdId, coins))) {
        throw new Error(`The coins of generation ${row.id} were settled before`);
      }
    };
  }
}

/** What the first picture was refused for, of those that somebody still waits for. */
function reasonOf(refused: Refused[]): JobRefusal {
  const reasons = refused.map(({ refusal }) => refusal);
  return reasons.find(({ code }) => code !== CANCELLED.code) ?? nobodyWaits();
}

/** Its images were deleted. */
function nobodyWaits(): JobRefusal {
  return new JobRefusal(CANCELLED.code, CANCELLED.detail);
}
