import { join } from 'node:path';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { postHold } from '../../coins/ledger.js';
import { ENV, type Env } from '../../core/env.js';
import { WorkFolders } from '../../images/conversion/work-folders.js';
import { together } from '../../images/decoding/together.js';
import { GeneratedImages } from '../../images/generated/generated-images.js';
import type { Attempt, WriteOutcome } from '../../queue/job-processor.js';
import { INTERNAL_ERROR } from '../../queue/work-lease.js';
import type { WorkError } from '../../queue/work-row.js';
import { type Generation, SEEDS } from '../generation.entity.js';
import { GenerationImage } from '../generation-image.entity.js';
import { nobodyWaits, NoPictures, refusalFor, timedOut } from '../generation-refusals.js';
import type { ImageModel } from '../models/image-model.js';
import { ImageModels } from '../models/image-models.js';
import { ModelRate } from './model-rate.js';
import { PictureMaking, type PictureOutcome, type PictureTask } from './picture-making.js';
import { SourcePictures } from './source-pictures.js';

/** Has a model paint what a generation asks for, and makes its images of that. */
@Injectable()
export class PicturePainting {
  constructor(
    private readonly em: EntityManager,
    private readonly models: ImageModels,
    private readonly rate: ModelRate,
    private readonly making: PictureMaking,
    private readonly sources: SourcePictures,
    private readonly images: GeneratedImages,
    private readonly folders: WorkFolders,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Makes all pictures of a generation, side by side. Those that come are paid for, and the coins for
   * the others go back. Doing it twice makes them twice, of which one attempt is kept.
   *
   * The deadline begins when all of them may be asked for: waiting for that costs no time of theirs.
   *
   * @throws JobRefusal when none came
   */
  async paint(generation: Generation, attempt: Attempt): Promise<WriteOutcome<Generation>> {
    const { signal } = attempt;
    if (!this.models.isConfigured) throw refusalFor('unavailable');
    const model = this.models.current();
    await this.rate.wait(model.name, generation.count, signal);
    return this.folders.within(async (folder) => {
      const tasks = await this.begin(generation, folder, signal);
      const leftMs = await this.timeLeft(generation, model);
      if (leftMs <= 0) throw timedOut();
      return this.paintUntil(performance.now() + leftMs, tasks, model, attempt);
    });
  }

  /** Before the deadline begins: the pictures that it is made from may take their time. */
  private async begin(
    generation: Generation,
    folder: string,
    signal: AbortSignal,
  ): Promise<PictureTask[]> {
    const { id: generationId, prompt, aspectRatio, size, seed, style = null } = generation;
    const sources = await this.sources.load(generation, folder, signal);
    const links = await this.em.fork().transactional(async (em) => {
      const links = await em.find(
        GenerationImage,
        { generation: generationId },
        { orderBy: { position: 'asc' } },
      );
      await this.images.start(
        em,
        links.map(({ imageId }) => imageId),
      );
      return links;
    });
    return links.map(({ imageId, position }) => ({
      ...{ generationId, imageId },
      request: { prompt, aspectRatio, size, seed: (seed + position) % SEEDS, style, sources },
      path: join(folder, `picture-${position}`),
    }));
  }

  /**
   * Until the deadline, in milliseconds: by the database's clock, and from when a model was first asked.
   * The row says which one that is; it may not be the one that the API had in mind.
   */
  private async timeLeft({ id }: Generation, { name, driver }: ImageModel): Promise<number> {
    const [row] = await this.em.execute<{ leftMs: number }[]>(
      `update generations
       set model = ?, driver = ?,
           deadline_at = coalesce(deadline_at, now() + make_interval(secs => ?))
       where id = ? and status = 'PROCESSING'
       returning (extract(epoch from deadline_at - now()) * 1000)::float8 as "leftMs"`,
      [name, driver, this.env.GENERATION_DEADLINE, id],
    );
    if (!row) throw nobodyWaits();
    return row.leftMs;
  }

  /** @param at the deadline, by `performance.now()` */
  private async paintUntil(
    at: number,
    tasks: PictureTask[],
    model: ImageModel,
    attempt: Attempt,
  ): Promise<WriteOutcome<Generation>> {
    const startedAt = performance.now();
    const time = new AbortController();
    const timer = setTimeout(() => {
      time.abort(timedOut());
    }, at - startedAt);
    const deadline = { at, signal: AbortSignal.any([attempt.signal, time.signal]) };
    try {
      const outcomes = await together(
        tasks.map((task) => this.making.make(task, model, deadline, attempt)),
      );
      return this.settle(outcomes, Math.round(performance.now() - startedAt));
    } finally {
      clearTimeout(timer);
    }
  }

  /** @throws NoPictures when there is none, or the fault of ours that is to blame for all */
  private settle(outcomes: PictureOutcome[], latencyMs: number): WriteOutcome<Generation> {
    const came = outcomes.filter((outcome) => 'made' in outcome);
    const failed = outcomes.filter((outcome) => 'fault' in outcome);
    const refused = outcomes.filter((outcome) => 'refusal' in outcome);
    const [first] = failed;
    if (first && failed.length === outcomes.length) throw first.fault;
    const errors = new Map<string, WorkError>([
      ...failed.map(({ imageId }) => [imageId, INTERNAL_ERROR] as const),
      ...refused.map(({ imageId, refusal }) => [imageId, refusal.asError()] as const),
    ]);
    if (came.length === 0) throw new NoPictures(refused, errors);
    return async (row, em) => {
      let pictures = 0;
      for (const { made } of came) {
        if (await this.images.complete(em, made, row.pricePerPicture)) pictures += 1;
      }
      if (pictures === 0) throw nobodyWaits();
      for (const [imageId, error] of errors) await this.images.fail(em, [imageId], error);
      const coins = row.complete(pictures, latencyMs);
      if (!(await postHold(em, row.holdId, coins))) {
        throw new Error(`The coins of generation ${row.id} were settled before`);
      }
    };
  }
}
