import { Inject, Injectable } from '@nestjs/common';
import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Principal } from '../auth/access/principal.js';
import { lockUser } from '../auth/users/user-lock.js';
import { ENV, type Env } from '../core/env.js';
import type { Page } from '../core/paging.js';
import { notFound, Problem } from '../core/problems/problem.js';
import { UserFigures } from '../core/user-figures.js';
import { ReadDatabase, type ReadServer } from '../core/database/read-database.js';
import { RowChanges } from '../core/database/row-changes.js';
import { Dispatcher } from '../queue/dispatcher.js';
import { FileRemovals } from '../storage/file-removals.js';
import { folderOf } from '../storage/storage-key.js';
import { convertImage } from './conversion/conversion.jobs.js';
import { ImageMakers } from './generated/image-makers.js';
import { Image } from './image.entity.js';
import { ImagePresenter, presentMetadata } from './image.presenter.js';
import { listImages } from './image-list.js';
import { ImageQueries, type ImageRow, type ImageTables } from './image.queries.js';
import {
  type ImageAnswer,
  type ImageChanges,
  type ImageMetadataAnswer,
  type ImageStats,
  isFinal,
  type ListQuery,
} from './image.schema.js';
import { presentStats } from './image-stats.js';

/** Shows, changes and deletes images. */
@Injectable()
export class ImagesService {
  constructor(
    private readonly em: EntityManager,
    private readonly changes: RowChanges,
    private readonly dispatcher: Dispatcher,
    private readonly removals: FileRemovals,
    private readonly makers: ImageMakers,
    private readonly lists: ReadDatabase,
    private readonly queries: ImageQueries,
    private readonly presenter: ImagePresenter,
    private readonly figures: UserFigures,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** The signed-in user's images. */
  async list({ userId }: Principal, query: ListQuery): Promise<Page<ImageAnswer>> {
    const page = await this.lists.read((server: ReadServer<ImageTables>) =>
      listImages(server, userId, query),
    );
    return { ...page, items: page.items.map((image) => this.presenter.present(image)) };
  }

  /** What the signed-in user has, how much of the quota it takes, and what was spent on pictures. */
  async stats({ userId }: Principal): Promise<ImageStats> {
    const [rows, coinsSpent] = await Promise.all([
      this.queries.stats(userId),
      this.figures.of('coinsSpent', userId),
    ]);
    return presentStats(rows, { quotaBytes: this.env.STORAGE_QUOTA_BYTES, coinsSpent });
  }

  /** @throws Problem `not-found` */
  async show(principal: Principal, id: string): Promise<ImageAnswer> {
    return this.presenter.present(await this.findOwn(principal, id));
  }

  /** @throws Problem `not-found` */
  async metadata(principal: Principal, id: string): Promise<ImageMetadataAnswer> {
    return presentMetadata(await this.findOwn(principal, id));
  }

  /** Changes what the owner may say of an image. @throws Problem `not-found` */
  async change(principal: Principal, id: string, changes: ImageChanges): Promise<ImageAnswer> {
    await this.update(principal, id, (image) => {
      image.change(changes);
    });
    return this.show(principal, id);
  }

  /**
   * Has the files of an image made anew. Those that it has are served until the new ones take their
   * place, and stay when that fails. A picture that was never generated stays as it is.
   *
   * @param waitSeconds how long to wait for the image to be final
   * @throws Problem `not-found`
   */
  async reprocess(principal: Principal, id: string, waitSeconds: number): Promise<ImageAnswer> {
    await this.update(principal, id, (image) => {
      image.revive();
    });
    await this.dispatcher.enqueue(convertImage, id);
    await this.changes.waitFor(id, waitSeconds, async () => {
      const image = await this.queries.find(id);
      return !image || isFinal(image) ? true : undefined;
    });
    return this.show(principal, id);
  }

  /**
   * Deletes an image: its row at once, so that a running conversion finds nothing to complete, and
   * its files after the grace. Who has it made hears of it, in the same transaction. Deleting it
   * again within a day succeeds, too.
   *
   * @throws Problem `not-found`
   */
  async delete({ userId }: Principal, id: string): Promise<void> {
    const onceDeleted = await this.em.fork().transactional(async (em) => {
      // Before its coins, as whoever gives some to it locks them.
      await lockUser(em, userId);
      const rest = await this.makers.giveUp(em, userId, id);
      const [deleted] = await em.execute<{ storage_key: string }[]>(
        'delete from images where id = ? and user_id = ? returning storage_key',
        [id, userId],
      );
      if (!deleted) {
        await this.requireDeleted(em, userId, id);
        return rest;
      }
      await em.execute(
        `insert into deleted_images (id, user_id, deleted_at) values (?, ?, now())
         on conflict (id) do nothing`,
        [id, userId],
      );
      const folder = folderOf(deleted.storage_key);
      await this.removals.schedule(em, [folder], this.env.CLEANUP_GRACE_SECONDS);
      await this.changes.announce(em, id);
      return rest;
    });
    await onceDeleted();
  }

  private async requireDeleted(em: EntityManager, userId: string, id: string): Promise<void> {
    const deleted = await em.execute('select 1 from deleted_images where id = ? and user_id = ?', [
      id,
      userId,
    ]);
    if (deleted.length === 0) throw new Problem(notFound);
  }

  private async update(
    { userId }: Principal,
    id: string,
    change: (image: Image) => void,
  ): Promise<void> {
    await this.em.fork().transactional(async (em) => {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      const image = await em.findOne(Image, { id, userId }, { lockMode });
      if (!image) throw new Problem(notFound);
      change(image);
      await this.changes.announce(em, id);
    });
  }

  private async findOwn({ userId }: Principal, id: string): Promise<ImageRow> {
    const image = await this.queries.find(id);
    if (image?.userId !== userId) throw new Problem(notFound);
    return image;
  }
}
