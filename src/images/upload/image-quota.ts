import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../../core/env.js';
import { Problem } from '../../core/problem.js';
import { quotaExceeded } from '../images.problems.js';

/** What the files of one account may take in storage. */
@Injectable()
export class ImageQuota {
  constructor(@Inject(ENV) private readonly env: Env) {}

  /** Locks the account until the transaction of `em` ends, so that no two pass the quota together. */
  async lock(em: EntityManager, userId: string): Promise<void> {
    await em.execute('select 1 from users where id = ? for no key update', [userId]);
  }

  /** @throws Problem `quota-exceeded` when so many bytes more would be too many */
  async require(em: EntityManager, userId: string, bytes: number): Promise<void> {
    const [used] = await em.execute<{ bytes: string }[]>(
      `select coalesce(sum(stored_bytes), 0) as bytes from images where user_id = ?`,
      [userId],
    );
    if (Number(used?.bytes ?? 0) + bytes > this.env.STORAGE_QUOTA_BYTES) {
      throw new Problem(quotaExceeded, `Your quota is ${this.env.STORAGE_QUOTA_BYTES} bytes.`);
    }
  }
}
