import { Injectable, Logger } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { UNMADE } from '../image.entity.js';

/**
 * Takes what is left to do when a deletion is committed, as no transaction holds it. Nothing may rely on
 * it: the process may be killed before.
 */
export type OnceDeleted = (work: () => Promise<void>) => void;

/** Who has pictures made, and has to hear when nobody wants one any more. */
export interface ImageMaker {
  /**
   * The transaction of `em` is about to delete images that are yet to be generated. None of their rows
   * is locked: a maker locks its own work first, as it does when it ends a picture, and may find then
   * that some are made. The rows go afterwards, so there is no need to end them.
   */
  giveUp(em: EntityManager, imageIds: readonly string[], onceDeleted: OnceDeleted): Promise<void>;
}

/** Those who have pictures made. This feature knows none of them: they register themselves. */
@Injectable()
export class ImageMakers {
  private readonly logger = new Logger(ImageMakers.name);
  private readonly makers: ImageMaker[] = [];

  register(maker: ImageMaker): void {
    this.makers.push(maker);
  }

  /**
   * Tells the makers what the transaction of `em` is about to delete; it has to come before that.
   *
   * @param imageId the image; without it, all of the user's
   * @returns what to do once it is committed; it never throws, as the images are deleted by then
   */
  async giveUp(em: EntityManager, userId: string, imageId?: string): Promise<() => Promise<void>> {
    const one = imageId === undefined ? '' : 'and id = ?';
    const unmade = await em.execute<{ id: string }[]>(
      `select id from images
       where user_id = ? ${one} and ${UNMADE} and status in ('PENDING', 'PROCESSING')
       order by id`,
      imageId === undefined ? [userId] : [userId, imageId],
    );
    const rest: (() => Promise<void>)[] = [];
    const ids = unmade.map(({ id }) => id);
    if (ids.length > 0) {
      for (const maker of this.makers) await maker.giveUp(em, ids, (work) => rest.push(work));
    }
    return async () => {
      for (const work of rest) {
        await work().catch((error: unknown) => {
          this.logger.warn({ err: error, msg: 'Something is left to the sweeps after a deletion' });
        });
      }
    };
  }
}
