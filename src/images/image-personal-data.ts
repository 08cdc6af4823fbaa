import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import type { OnceErased, Person, PersonalDataPart } from '../core/personal-data/personal-data.js';
import { inPages } from '../core/personal-data/pages.js';
import { DeadLetters } from '../queue/dead-letters.js';
import { Dispatcher } from '../queue/dispatcher.js';
import { FileRemovals } from '../storage/file-removals.js';
import { folderOf, imagePrefix } from '../storage/storage-key.js';
import { convertImage } from './conversion/conversion.jobs.js';
import { ImageMakers } from './generated/image-makers.js';
import { ImageLink } from './image-link.entity.js';
import { ImagePresenter } from './image.presenter.js';
import { ImageQueries, type ImageRow } from './image.queries.js';

interface ErasedImage {
  id: string;
  attempts: number;
  storage_key: string;
  queued_at: Date | null;
}

/** An image, and where it is used. */
interface LinkedImage {
  image: ImageRow;
  links: ImageLink[];
}

/** The images of a person, with their files and the work on them. */
@Injectable()
export class ImagePersonalData implements PersonalDataPart {
  readonly name = 'images';

  constructor(
    private readonly em: EntityManager,
    private readonly presenter: ImagePresenter,
    private readonly removals: FileRemovals,
    private readonly letters: DeadLetters,
    private readonly dispatcher: Dispatcher,
    private readonly makers: ImageMakers,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** As everywhere, with where the original is, for who is signed in, and where the image is used. */
  async *export({ id: userId }: Person): AsyncGenerator<object> {
    const images = inPages<LinkedImage>((last, limit) => this.page(userId, last?.image, limit));
    for await (const { image, links } of images) {
      yield {
        ...this.presenter.present(image),
        originalUrl: `${this.env.PUBLIC_URL}/api/v1/images/${image.id}/file?size=original`,
        checksum: image.checksum ?? '',
        links: links.map(({ courseId, sessionId, createdAt }) => ({
          ...{ courseId: courseId ?? null, sessionId: sessionId ?? null, createdAt },
        })),
      };
    }
  }

  /**
   * Rows at once, so that running conversions and models find nothing to complete, and files as soon as the
   * transaction is committed, those of images deleted before among them. What an upload or a conversion
   * stores just then is written down for removal already.
   */
  async erase(em: EntityManager, { id: userId }: Person, onceErased: OnceErased): Promise<void> {
    onceErased(await this.makers.giveUp(em, userId));
    const erased = await em.execute<ErasedImage[]>(
      `delete from images where user_id = ? returning id, attempts, storage_key, queued_at`,
      [userId],
    );
    const ids = erased.map(({ id }) => id);
    await this.letters.forget(em, convertImage, ids);
    const folders = erased.map(({ storage_key }) => folderOf(storage_key));
    await this.removals.schedule(em, folders, 0);
    await this.removals.hasten(em, imagePrefix(userId));
    const carried = erased.filter(({ queued_at }) => queued_at !== null);
    onceErased(() => this.dispatcher.withdraw(convertImage, carried));
  }

  private async page(
    userId: string,
    last: ImageRow | undefined,
    limit: number,
  ): Promise<LinkedImage[]> {
    const em = this.em.fork();
    const images = await new ImageQueries(em).listBehind(userId, last, limit);
    const found = await em.find(ImageLink, { imageId: { $in: images.map(({ id }) => id) } });
    const links = Map.groupBy(found, ({ imageId }) => imageId);
    return images.map((image) => ({ image, links: links.get(image.id) ?? [] }));
  }
}
