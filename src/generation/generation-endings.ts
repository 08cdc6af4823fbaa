import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Logger } from '@nestjs/common';
import { voidHold } from '../coins/holds.js';
import { RowChanges } from '../core/database/row-changes.js';
import { GeneratedImages } from '../images/generated/generated-images.js';
import type { ImageMaker, OnceDeleted } from '../images/generated/image-makers.js';
import { Dispatcher } from '../queue/dispatcher.js';
import type { JobRefusal } from '../queue/job-errors.js';
import { endWork } from '../queue/work-row.js';
import { GenerationImage } from './generation-image.entity.js';
import { Generation, TIMED_OUT } from './generation.entity.js';
import { paintPictures } from './generation.jobs.js';
import { NoPictures, timedOut } from './generation-refusals.js';

/** What else ends with a generation that brings no picture: its images, and the hold of its coins. */
@Injectable()
export class GenerationEndings implements ImageMaker {
  private readonly logger = new Logger(GenerationEndings.name);

  constructor(
    private readonly images: GeneratedImages,
    private readonly changes: RowChanges,
    private readonly dispatcher: Dispatcher,
  ) {}

  /** Cancels a generation whose row the transaction of `em` holds. */
  async cancel(row: Generation, em: EntityManager): Promise<void> {
    row.cancel();
    await this.endInVain(row, em);
    await this.changes.announce(em, row.id);
  }

  /** {@link cancel} for one that had its time, and that no worker has any more. */
  async expire(row: Generation, em: EntityManager): Promise<void> {
    row.fail(timedOut().asError());
    endWork(row);
    await this.endInVain(row, em);
    await this.changes.announce(em, row.id);
  }

  /**
   * Ends what belongs to a generation that has FAILED, in the transaction of `em`, which holds its row:
   * its images are FAILED, each with its own error where it has one, and its coins are free again.
   */
  async endInVain(row: Generation, em: EntityManager, refusal?: JobRefusal): Promise<void> {
    const error = { code: row.errorCode ?? '', detail: row.errorDetail ?? '' };
    const own = refusal instanceof NoPictures ? refusal.errors : undefined;
    for (const imageId of await imageIdsOf(em, row.id)) {
      await this.images.fail(em, [imageId], own?.get(imageId) ?? error);
    }
    const phase = error.code === TIMED_OUT ? 'EXPIRE' : 'VOID';
    if (await voidHold(em, row.holdId, phase)) return;
    // Its status must have told. It ends all the same: no other attempt would find it otherwise.
    this.logger.error({
      id: row.id,
      msg: 'The coins of a generation were settled before it ended',
    });
  }

  /**
   * Of a generation whose images are all deleted nobody wants anything any more. Of others, clients see
   * that an image is gone.
   */
  async giveUp(
    em: EntityManager,
    imageIds: readonly string[],
    onceDeleted: OnceDeleted,
  ): Promise<void> {
    const links = await em.execute<{ id: string }[]>(
      'select distinct generation_id as id from generation_images where image_id = any (?::uuid[])',
      [`{${imageIds.join()}}`],
    );
    const rows = await em.find(
      Generation,
      { id: { $in: links.map(({ id }) => id) } },
      { orderBy: { id: 'asc' }, lockMode: LockMode.PESSIMISTIC_WRITE, refresh: true },
    );
    for (const row of rows.filter(({ isFinal }) => !isFinal)) {
      const ids = await imageIdsOf(em, row.id);
      if (ids.every((id) => imageIds.includes(id))) {
        await this.cancel(row, em);
        onceDeleted(() => this.makeRoom(row));
      } else if (ids.some((id) => imageIds.includes(id))) {
        row.loseImages();
        await this.changes.announce(em, row.id);
      }
    }
  }

  /** Takes one that was cancelled out of the queue, and lets its owner's next one in. */
  async makeRoom(row: Generation): Promise<void> {
    await this.dispatcher.withdraw(paintPictures, [row]);
    await this.dispatcher.refill(paintPictures, row.userId);
  }
}

/** The ids of the images that a generation makes, in their order, but for those that were deleted. */
export async function imageIdsOf(em: EntityManager, generationId: string): Promise<string[]> {
  const links = await em.find(
    GenerationImage,
    { generation: generationId },
    { orderBy: { position: 'asc' } },
  );
  return links.map(({ imageId }) => imageId);
}
