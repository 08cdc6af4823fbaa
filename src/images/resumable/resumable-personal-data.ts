import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { idBehind, inPages } from '../../core/personal-data/pages.js';
import type {
  OnceErased,
  Person,
  PersonalDataPart,
} from '../../core/personal-data/personal-data.js';
import { ResumableBytes } from './resumable-bytes.js';
import { ResumableUpload } from './resumable-upload.entity.js';
import { presentUpload } from './resumable.schema.js';

/** Uploads in parts that a person has begun, until they are forgotten. */
@Injectable()
export class ResumablePersonalData implements PersonalDataPart {
  readonly name = 'uploads';

  constructor(
    private readonly em: EntityManager,
    private readonly bytes: ResumableBytes,
  ) {}

  async *export({ id: userId }: Person): AsyncGenerator<object> {
    const uploads = inPages<ResumableUpload>((after, limit) =>
      this.em
        .fork()
        .find(
          ResumableUpload,
          { $and: [{ userId }, idBehind(after)] },
          { orderBy: { id: 'asc' }, limit },
        ),
    );
    for await (const upload of uploads) {
      const offset = upload.isSettled ? upload.bytes : await this.bytes.offset(upload.id);
      const { fields, createdAt } = upload;
      yield { ...presentUpload({ upload, offset, isCutShort: false }), ...fields, createdAt };
    }
  }

  /**
   * A request that still sends loses its lease with the row. What it stored meanwhile, the sweep of
   * bytes that belong to no upload removes.
   */
  async erase(em: EntityManager, { id: userId }: Person, onceErased: OnceErased): Promise<void> {
    const erased = await em.execute<{ id: string }[]>(
      'delete from resumable_uploads where user_id = ? returning id',
      [userId],
    );
    onceErased(async () => {
      for (const { id } of erased) await this.bytes.remove(id);
    });
  }
}
