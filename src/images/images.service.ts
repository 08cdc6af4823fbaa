import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Principal } from '../auth/access.js';
import type { Page } from '../core/paging.js';
import { malformed, notFound, Problem } from '../core/problem.js';
import { RowChanges } from '../core/row-changes.js';
import { openFile } from '../storage/open-file.js';
import { Storage, type StoredObject } from '../storage/storage.js';
import { VARIANT_NAMES } from './decoding/variants.js';
import { ImagePresenter } from './image.presenter.js';
import { ImageQueries } from './image.queries.js';
import {
  type ImageAnswer,
  type ImageMetadataAnswer,
  type ImageRow,
  type ListQuery,
  presentMetadata,
  type VariantRow,
} from './image.schema.js';
import { imageFailed } from './images.problems.js';

/** What a request for a file finds: the file, or an image whose files are still being made. */
export type ImageFile =
  | {
      state: 'ready';
      image: ImageRow;
      variant: VariantRow;
      etag: string;
      open: () => Promise<StoredObject>;
    }
  | { state: 'unfinished'; image: ImageAnswer };

/** Shows, serves and deletes images. */
@Injectable()
export class ImagesService {
  private readonly logger = new Logger(ImagesService.name);

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
    private readonly changes: RowChanges,
    private readonly queries: ImageQueries,
    private readonly presenter: ImagePresenter,
  ) {}

  /** The signed-in user's images, newest first. */
  async list({ userId }: Principal, query: ListQuery): Promise<Page<ImageAnswer>> {
    const page = await this.queries.list(userId, query);
    const items = await Promise.all(page.items.map((image) => this.presenter.present(image)));
    return { ...page, items };
  }

  /** @throws Problem `not-found` */
  async show(principal: Principal, id: string): Promise<ImageAnswer> {
    return this.presenter.present(await this.findOwn(principal, id));
  }

  /** @throws Problem `not-found` */
  async metadata(principal: Principal, id: string): Promise<ImageMetadataAnswer> {
    return presentMetadata(await this.findOwn(principal, id));
  }

  /**
   * A variant of an own image, or of a public one for anyone.
   *
   * @throws Problem `malformed`, `not-found`, `image-failed`
   */
  async file(principal: Principal | undefined, id: string, size: string): Promise<ImageFile> {
    const name = VARIANT_NAMES.find((each) => each === size);
    if (!name)
      throw new Problem(malformed, `There is no size ${JSON.stringify(size.slice(0, 40))}.`);
    const image = await this.queries.find(id);
    if (!image || !maySee(principal, image)) throw new Problem(notFound);
    if (image.status === 'FAILED') throw new Problem(imageFailed, image.errorDetail ?? undefined);
    const variant = image.variants.find((each) => each.name === name);
    if (!variant) return { state: 'unfinished', image: await this.presenter.present(image) };
    return {
      state: 'ready',
      image,
      variant,
      etag: `"${image.checksum.slice(0, 16)}-${name}-${Date.parse(image.updatedAt).toString(36)}"`,
      open: () => openFile(this.storage, variant.storageKey),
    };
  }

  /**
   * Deletes an image: its row at once, so that a running conversion finds nothing to complete,
   * then its files.
   *
   * @throws Problem `not-found`
   */
  async delete({ userId }: Principal, id: string): Promise<void> {
    const deleted = await this.em.fork().transactional(async (em) => {
      const rows = await em.execute<{ storage_key: string }[]>(
        'delete from images where id = ? and user_id = ? returning storage_key',
        [id, userId],
      );
      await this.changes.announce(em, id);
      return rows[0];
    });
    if (!deleted) throw new Problem(notFound);
    await this.removeFiles(userId, deleted.storage_key);
  }

  /** Removes all files of an image whose row is gone. Never throws. */
  async removeFiles(userId: string, storageKey: string): Promise<void> {
    const folder = storageKey.split('/')[2] ?? '';
    try {
      for await (const { key } of this.storage.list(userId, `${folder}/`)) {
        await this.storage.delete(key);
      }
    } catch (error) {
      this.logger.warn({ err: error, storageKey, msg: 'Files are left to the clean-up' });
    }
  }

  private async findOwn({ userId }: Principal, id: string): Promise<ImageRow> {
    const image = await this.queries.find(id);
    if (image?.userId !== userId) throw new Problem(notFound);
    return image;
  }
}

function maySee(principal: Principal | undefined, image: ImageRow): boolean {
  return image.visibility === 'public' || image.userId === principal?.userId;
}
