import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { SILENT_HOLDER_MS } from '../../core/database/session-limits.js';
import { ENV, type Env } from '../../core/env.js';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import { quotaExceeded } from '../images.problems.js';

/** What the files of one account may take in storage. */
@Injectable()
export class ImageQuota {
  constructor(@Inject(ENV) private readonly env: Env) {}

  /**
   * Locks the account until the transaction of `em` ends, so that no two pass the quota together. A
   * process that freezes meanwhile loses the transaction, and the account, soon.
   *
   * @throws Problem `unauthenticated` when the account was erased since the request began
   */
  async lock(em: EntityManager, userId: string): Promise<void> {
    await em.execute(`select set_config('idle_in_transaction_session_timeout', ?, true)`, [
      `${SILENT_HOLDER_MS}ms`,
    ]);
    const locked = await em.execute(
      'select 1 from users where id = ? and erased_at is null for no key update',
      [userId],
    );
    if (locked.length === 0) throw new Problem(unauthenticated);
  }

  /**
   * Counts what images take, and what open resumable uploads have announced.
   *
   * @param announcedBy the resumable upload that these bytes belong to, so as not to count them twice
   * @throws Problem `quota-exceeded` when so many bytes more would be too many
   */
  async require(
    em: EntityManager,
    userId: string,
    bytes: number,
    announcedBy: string | null = null,
  ): Promise<void> {
    const [used] = await em.execute<{ bytes: string }[]>(
      `select (select coalesce(sum(stored_bytes), 0) from images where user_id = ?)
         + (select coalesce(sum(bytes), 0) from resumable_uploads
            where user_id = ? and image_id is null and error_code is null and expires_at > now()
              and id is distinct from ?::uuid) as bytes`,
      [userId, userId, announcedBy],
    );
    if (Number(used?.bytes ?? 0) + bytes > this.env.STORAGE_QUOTA_BYTES) {
      throw new Problem(quotaExceeded, `Your quota is ${this.env.STORAGE_QUOTA_BYTES} bytes.`);
    }
  }
}
