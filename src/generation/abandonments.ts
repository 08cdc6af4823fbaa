import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { RateLimits } from '../core/rate-limits/rate-limits.js';
import { Problem } from '../core/problems/problem.js';
import { CANCELLED } from './generation.entity.js';
import { tooManyCancelled } from './generation.problems.js';

/** How many generations one may give up in an hour that a worker had begun with. */
const MOST_PER_HOUR = 20;

/**
 * Those that were given up once a worker had begun with them: their owners pay nothing for what the
 * operator may have to pay for, and for the slots that others wait for. Giving up is never refused, but
 * who does it all the time may ask for no more.
 */
@Injectable()
export class Abandonments {
  constructor(
    private readonly em: EntityManager,
    private readonly limits: RateLimits,
  ) {}

  /** @throws Problem `too-many-cancelled` until there are few enough of them */
  async requireFew(userId: string): Promise<void> {
    if (!this.limits.areOn) return;
    const [oldest] = await this.em.fork().execute<{ seconds: number }[]>(
      `select ceil(extract(epoch from finished_at + interval '1 hour' - now()))::int as seconds
       from generations
       where user_id = ? and error_code = '${CANCELLED.code}' and attempts > 0
         and finished_at > now() - interval '1 hour'
       order by finished_at desc offset ${MOST_PER_HOUR - 1} limit 1`,
      [userId],
    );
    if (!oldest) return;
    throw new Problem(tooManyCancelled, undefined, {
      headers: { 'retry-after': String(Math.max(1, oldest.seconds)) },
    });
  }
}
