import { Inject, Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { sql } from 'kysely';
import { ENV, type Env } from '../../core/env.js';
import { RowChanges } from '../../core/database/row-changes.js';
import { FileRemovals } from '../../storage/file-removals.js';
import { folderOf } from '../../storage/storage-key.js';

const BATCH_SIZE = 200;

export interface ExpiredImage {
  id: string;
  user_id: string;
  storage_key: string;
}

/** Deletes uploads that are linked to nothing and older than `IMAGE_RETENTION_DAYS`. */
@Injectable()
export class ImageRetention {
  constructor(
    private readonly em: EntityManager,
    private readonly removals: FileRemovals,
    private readonly changes: RowChanges,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** Batches of what is too old now, by id; none when nothing ever is. */
  async *find(signal: AbortSignal): AsyncGenerator<ExpiredImage[]> {
    const days = this.env.IMAGE_RETENTION_DAYS;
    let last: string | undefined;
    if (days === undefined) return;
    do {
      signal.throwIfAborted();
      const { rows } = await sql<ExpiredImage>`
        select id, user_id, storage_key from images
        where ${expired(days)} ${last === undefined ? sql`` : sql`and id > ${last}::uuid`}
        order by id limit ${BATCH_SIZE}
      `.execute(this.em.fork().getKysely());
      yield rows;
      last = rows.at(-1)?.id;
    } while (last !== undefined);
  }

  /**
   * Deletes those that are still too old and unlinked, as their owners would.
   *
   * They are locked first, and judged again in the statement that deletes them. A link needs a lock
   * on its image, too: so it is either there to be seen, or comes too late and is refused. Images
   * that somebody is just linking are left to the next time.
   *
   * @returns the ids of those that are deleted
   */
  async delete(images: ExpiredImage[]): Promise<Set<string>> {
    const days = this.env.IMAGE_RETENTION_DAYS;
    if (days === undefined || images.length === 0) return new Set();
    const ids = images.map(({ id }) => id);
    return this.em.fork().transactional(async (em) => {
      const database = em.getKysely();
      const locked = await sql<{ id: string }>`
        select id from images where id = any(${ids}::uuid[]) order by id for update skip locked
      `.execute(database);
      const lockedIds = locked.rows.map(({ id }) => id);
      const { rows } = await sql<ExpiredImage>`
        with deleted as (
          delete from images where id = any(${lockedIds}::uuid[]) and ${expired(days)}
          returning id, user_id, storage_key
        ), remembered as (
          insert into deleted_images (id, user_id, deleted_at)
          select id, user_id, now() from deleted on conflict (id) do nothing
        )
        select id, user_id, storage_key from deleted
      `.execute(database);
      const folders = rows.map(({ storage_key }) => folderOf(storage_key));
      await this.removals.schedule(em, folders, this.env.CLEANUP_GRACE_SECONDS);
      for (const { id } of rows) await this.changes.announce(em, id);
      return new Set(rows.map(({ id }) => id));
    });
  }

  /** Forgets what was deleted more than a day ago. @returns how many */
  async forgetDeleted(): Promise<number> {
    const forgotten = await this.em
      .fork()
      .execute(
        `delete from deleted_images where deleted_at < now() - interval '1 day' returning 1`,
      );
    return forgotten.length;
  }
}

function expired(days: number) {
  return sql<boolean>`(images.type = 'UPLOADED' and images.next_attempt_at is null
    and images.created_at < now() - make_interval(days => ${days})
    and not exists (select from image_links where image_id = images.id))`;
}
