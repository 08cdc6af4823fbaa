import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { idBehind, inPages } from '../core/personal-data/pages.js';
import type { Person, PersonalDataPart } from '../core/personal-data/personal-data.js';
import { DeletedImage } from './deleted-image.entity.js';

/** Which images a person has deleted within the last day. */
@Injectable()
export class DeletedImagePersonalData implements PersonalDataPart {
  readonly name = 'deletedImages';

  constructor(private readonly em: EntityManager) {}

  async *export({ id: userId }: Person): AsyncGenerator<object> {
    const images = inPages<DeletedImage>((after, limit) =>
      this.em
        .fork()
        .find(
          DeletedImage,
          { $and: [{ userId }, idBehind(after)] },
          { orderBy: { id: 'asc' }, limit },
        ),
    );
    for await (const { id, deletedAt } of images) yield { id, deletedAt };
  }

  async erase(em: EntityManager, { id: userId }: Person): Promise<void> {
    await em.nativeDelete(DeletedImage, { userId });
  }
}
