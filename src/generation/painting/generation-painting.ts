import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { postHold } from '../../coins/holds.js';
import { ENV, type Env } from '../../core/env.js';
import { WorkFolders } from '../../images/conversion/work-folders.js';
import { together } from '../../images/decoding/together.js';
import { GeneratedImages } from '../../images/generated/generated-images.js';
import type { Attempt, WriteOutcome } from '../../queue/job-processor.js';
import { INTERNAL_ERROR } from '../../queue/work-lease.js';
import type { WorkError } from '../../queue/work-row.js';
import { CANCELLED, type Generation, SEEDS } from '../generation.entity.js';
import { GenerationImage } from '../generation-image.entity.js';
import { nobodyWaits, NoPictures, refusalFor, timedOut } from '../generation-refusals.js';
import type { ImageModel } from '../models/image-model.js';
import { ImageModels } from '../models/image-models.js';
import { ModelSlots, type Slots } from './model-slots.js';
import { PictureMaking, type PictureOutcome, type PictureTask } from './picture-making.js';
import { SourcePictures } from './source-pictures.js';

/** Has a model paint what a generation asks for, and makes its images of that. */
@Injectable()
export class GenerationPainting {
  constructor(
    private readonly em: EntityManager,
    private readonly models: ImageModels,
    private readonly slots: ModelSlots,
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
   * The deadline begins with the slots of the model: waiting for those takes nothing of it.
   *
   * @throws JobRefusal when none came
   */
  async paint(generation: Generation, attempt: Attempt): Promise<WriteOutcome<Generation>> {
    const { signal } = attempt;
    if (!this.models.isConfigured) throw refusalFor('unavailable');
    const model = this.models.current();
    const slots = await this.waitForSlots(generation, model, signal);
    return this.folders.within(async (folder) => {
      const tasks = await this.prepare(generation, folder, signal);
      const leftMs = await this.begin(generation, model, slots);
      return this.paintUntil(performance.now() + leftMs, tasks, slots, model, attempt);
    });
  }

  /** @throws JobRefusal when an earlier attempt has had the time, or would have until the first slot */
  private async waitForSlots(
    generation: Generation,
    { name }: ImageModel,
    signal: AbortSignal,
  ): Promise<Slots> {
    const leftMs = await this.timeLeft(generation);
    if (leftMs <= 0) throw timedOut();
    const slots = await this.slots.take(name, generation.count);
    if (slots.waitMs >= leftMs) throw refusalFor('rate-limited');
    await delay(slots.waitMs, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
    return slots;
  }

  /** Until the deadline that an earlier attempt has begun, in milliseconds, by the database's clock. */
  private async timeLeft({ id, deadlineAt }: Generation): Promise<number> {
    if (!deadlineAt) return Infinity;
    const [row] = await this.em.execute<{ leftMs: number }[]>(
      `select (extract(epoch from deadline_at - now()) * 1000)::float8 as "leftMs"
       from generations where id = ?`,
      [id],
    );
    return row?.leftMs ?? 0;
  }

  /** Before the deadline begins: the pictures that it is made from may take their time. */
  private async prepare(
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
   * Begins the deadline, unless an earlier attempt did: by the database's clock, and so that the last
   * picture has its time, too. The row says which model is asked; it may not be the one that the API had
   * in mind.
   *
   * @returns the milliseconds until it
   * @throws JobRefusal when it is over, or somebody has ended the generation
   */
  private async begin(
    { id, count }: Generation,
    { name, driver }: ImageModel,
    { spacingMs }: Slots,
  ): Promise<number> {
    const seconds = this.env.GENERATION_DEADLINE + ((count - 1) * spacingMs) / 1_000;
    const [row] = await this.em.execute<{ leftMs: number }[]>(
      `update generations
       set revision = revision + ((model, driver) is distinct from (?, ?))::int,
           model = ?, driver = ?,
           deadline_at = coalesce(deadline_at, now() + make_interval(secs => ?))
       where id = ? and status = 'PROCESSING'
       returning (extract(epoch from deadline_at - now()) * 1000)::float8 as "leftMs"`,
      [name, driver, name, driver, seconds, id],
    );
    if (!row) throw nobodyWaits();
    if (row.leftMs <= 0) throw timedOut();
    return row.leftMs;
  }

  /** @param at the deadline, by `performance.now()` */
  private async paintUntil(
    at: number,
    tasks: PictureTask[],
    { spacingMs }: Slots,
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
        tasks.map(async (task, index) => {
          await delay(index * spacingMs, undefined, { signal: deadline.signal }).catch(
            () => undefined,
          );
          return this.making.make(task, model, deadline, attempt);
        }),
      );
      return this.settle(outcomes, Math.round(performance.now() - startedAt));
    } finally {
      clearTimeout(timer);
    }
  }

  /** @throws NoPictures when there is none, or the fault of ours that is to blame for all that are wanted */
  private settle(outcomes: PictureOutcome[], latencyMs: number): WriteOutcome<Generation> {
    const came = outcomes.filter((outcome) => 'made' in outcome);
    const failed = outcomes.filter((outcome) => 'fault' in outcome);
    const refused = outcomes.filter((outcome) => 'refusal' in outcome);
    const [first] = failed;
    const isWanted = refused.some(({ refusal }) => refusal.code !== CANCELLED.code);
    if (first && came.length === 0 && !isWanted) throw first.fault;
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
