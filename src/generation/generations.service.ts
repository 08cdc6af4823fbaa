import { randomInt } from 'node:crypto';
import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Logger } from '@nestjs/common';
import type { Principal } from '../auth/access/principal.js';
import { InsufficientCoins } from '../coins/coins.problems.js';
import { Coins } from '../coins/coins.service.js';
import { hold } from '../coins/ledger.js';
import { RowChanges } from '../core/database/row-changes.js';
import { Idempotency, IdempotentRun } from '../core/http/idempotency.js';
import { notFound, Problem, validationFailed } from '../core/problems/problem.js';
import { GeneratedImages } from '../images/generated/generated-images.js';
import { Image } from '../images/image.entity.js';
import { ImagePresenter } from '../images/image.presenter.js';
import { ImageQueries } from '../images/image.queries.js';
import { Dispatcher } from '../queue/dispatcher.js';
import { Abandonments } from './abandonments.js';
import { GenerationEndings } from './generation-endings.js';
import { GenerationImage } from './generation-image.entity.js';
import { GenerationLine } from './generation-line.js';
import { Generation, SEEDS } from './generation.entity.js';
import { paintPictures } from './generation.jobs.js';
import { generationOver } from './generation.problems.js';
import { GenerationQueries } from './generation.queries.js';
import {
  type GeneratedAnswer,
  type Generate,
  generateSchema,
  type GenerationAnswer,
  isOver,
  presentGeneration,
} from './generation.schema.js';
import type { ImageModel } from './models/image-model.js';
import { ImageModels } from './models/image-models.js';
import { PicturePrices } from './picture-prices.js';

const GENERATE_ROUTE = 'images.generate';

interface GenerateOptions {
  idempotencyKey: string | undefined;
  /** How long to wait for the pictures, in seconds. */
  waitSeconds: number;
}

/** What a request for pictures is answered with. */
export interface GenerateAnswer {
  /** 201 when it is final, else 202. */
  status: number;
  body: GeneratedAnswer;
  /** Whether this is the stored answer to the same request. */
  replayed: boolean;
}

/** Takes requests for pictures: the coins are held and the rows written, the work goes to the queue. */
@Injectable()
export class Generations {
  private readonly logger = new Logger(Generations.name);

  constructor(
    private readonly em: EntityManager,
    private readonly models: ImageModels,
    private readonly prices: PicturePrices,
    private readonly coins: Coins,
    private readonly abandonments: Abandonments,
    private readonly endings: GenerationEndings,
    private readonly images: GeneratedImages,
    private readonly presenter: ImagePresenter,
    private readonly queries: GenerationQueries,
    private readonly line: GenerationLine,
    private readonly rows: ImageQueries,
    private readonly idempotency: Idempotency,
    private readonly dispatcher: Dispatcher,
    private readonly changes: RowChanges,
  ) {}

  /**
   * @throws Problem `generation-not-configured`, `insufficient-coins`, `quota-exceeded`,
   *   `too-many-cancelled`, `validation-failed` for a source that is not the user's or not COMPLETED,
   *   `idempotency-…`
   */
  async request(
    user: Principal,
    asked: Generate,
    { idempotencyKey, waitSeconds }: GenerateOptions,
  ): Promise<GenerateAnswer> {
    const model = this.models.current();
    const run = await this.idempotency.begin({
      ...{ ownerId: user.userId, route: GENERATE_ROUTE, key: idempotencyKey, content: asked },
    });
    if (!(run instanceof IdempotentRun)) {
      return { status: run.status, body: run.body as GeneratedAnswer, replayed: true };
    }
    const body = await this.create(this.draft(user, asked, model), asked, run);
    await this.dispatcher.enqueue(paintPictures, body.generation.id);
    const final = await this.awaitFinal(user, run, body.generation.id, waitSeconds);
    return { ...(final ?? { status: 202, body }), replayed: false };
  }

  /** What a request would cost; undefined for one that will be refused, or that nobody would serve. */
  priceOf(asked: unknown): number | undefined {
    const { success, data } = generateSchema.safeParse(asked);
    if (!success || !this.models.isConfigured) return undefined;
    const { size, count } = data;
    return count * this.prices.ofOne({ model: this.models.current().name, size, count });
  }

  /**
   * Ends a generation that nobody wants any more, and gives its coins back. A worker that has it hears
   * of that, and what it brings then is thrown away.
   *
   * @throws Problem `not-found`; `generation-over` when it ended otherwise before
   */
  async cancel(user: Principal, id: string): Promise<GenerationAnswer> {
    const { row, wasCancelled } = await this.em.fork().transactional(async (em) => {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      const row = await em.findOne(Generation, { id, userId: user.userId }, { lockMode });
      if (!row) throw new Problem(notFound);
      if (row.isFinal) return { row, wasCancelled: row.isCancelled };
      await this.endings.cancel(row, em);
      return { row, wasCancelled: true };
    });
    if (!wasCancelled) throw new Problem(generationOver);
    await this.endings.makeRoom(row);
    return this.queries.show(user, id);
  }

  /**
   * All in one transaction: coins are never held for what is not there, nor the other way round. The
   * place in the line is told as it was before that, so that no other request waits while it is found.
   */
  private async create(
    generation: Generation,
    { title, description }: Generate,
    run: IdempotentRun,
  ): Promise<GeneratedAnswer> {
    const { id: reference, userId, prompt, count, price: amount } = generation;
    try {
      // The ledger decides; but who has no coins and a key is told before anything is written.
      const { available: have } = await this.coins.balance(userId);
      if (have < amount) throw new InsufficientCoins({ need: amount, have });
      await this.abandonments.requireFew(userId);
      const position = await this.line.placeOfNew(userId);
      return await this.em.fork().transactional(async (em) => {
        const images = await this.images.create(em, {
          ...{ userId, prompt, count, visibility: 'private' },
          ...{ title: title ?? null, description: description ?? null },
        });
        await requireSources(em, generation);
        const held = await hold(em, { userId, amount, kind: 'GENERATION', reference });
        generation.holdId = held.holdId;
        em.persist(generation);
        images.forEach(({ id }, position) => {
          em.persist(new GenerationImage(generation.id, position, id));
        });
        await em.flush();
        const imageIds = images.map(({ id }) => id);
        const shown = presentGeneration(generation, { imageIds, position });
        const body = await this.answerWith(shown, new ImageQueries(em));
        await run.complete(em, { status: 202, body });
        return body;
      });
    } catch (error) {
      await run.abandon().catch(() => undefined);
      throw error;
    }
  }

  private draft({ userId }: Principal, asked: Generate, model: ImageModel): Generation {
    const { prompt, aspectRatio, size, sourceImageIds, count } = asked;
    return new Generation({
      ...{ userId, model, prompt, aspectRatio, size, sourceImageIds, count },
      seed: asked.seed ?? randomInt(SEEDS),
      style: asked.style ?? null,
      pricePerPicture: this.prices.ofOne({ model: model.name, size, count }),
    });
  }

  /**
   * The answer for pictures that came, or failed, in time. Whatever goes wrong here, the request has
   * been taken, and the client must not hear otherwise.
   */
  private async awaitFinal(user: Principal, run: IdempotentRun, id: string, seconds: number) {
    if (seconds === 0) return undefined;
    try {
      const isFinal = await this.changes.waitFor(id, seconds, async () => {
        const found = await this.em.fork().findOne(Generation, { id }, { fields: ['status'] });
        return found && isOver(found) ? true : undefined;
      });
      const found = isFinal && (await this.queries.find(user.userId, id));
      // Without its images, or the account, there is nothing to wait for any more.
      if (!found || found.shown.imageIds.length === 0) return undefined;
      const answer = { status: 201, body: await this.answerWith(found.shown, this.rows) };
      await run.amend(answer);
      return answer;
    } catch (error) {
      this.logger.error({
        err: error,
        id,
        msg: 'Waiting failed; the request is taken all the same',
      });
      return undefined;
    }
  }

  /** @param rows what reads the images, which may be those of a transaction */
  private async answerWith(
    generation: GenerationAnswer,
    rows: ImageQueries,
  ): Promise<GeneratedAnswer> {
    const found = await Promise.all(generation.imageIds.map((imageId) => rows.find(imageId)));
    const images = found.flatMap((row) => (row ? [this.presenter.present(row)] : []));
    const [image] = images;
    if (!image) throw new Problem(notFound);
    return { image, images, generation };
  }
}

/** @throws Problem `validation-failed` */
async function requireSources(
  em: EntityManager,
  { userId, sourceImageIds: ids }: Generation,
): Promise<void> {
  const own = await em.find(
    Image,
    { id: { $in: ids }, userId, status: 'COMPLETED' },
    { fields: ['id'], disableIdentityMap: true },
  );
  const found = new Set(own.map(({ id }) => id));
  const errors = ids.flatMap((id, index) =>
    found.has(id)
      ? []
      : [{ path: `body.sourceImageIds.${index}`, message: 'is no COMPLETED image of yours' }],
  );
  if (errors.length > 0) throw new Problem(validationFailed, undefined, { errors });
}
