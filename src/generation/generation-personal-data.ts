import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { voidHolds } from '../coins/holds.js';
import { RowChanges } from '../core/database/row-changes.js';
import { inPages } from '../core/personal-data/pages.js';
import type { OnceErased, Person, PersonalDataPart } from '../core/personal-data/personal-data.js';
import { DeadLetters } from '../queue/dead-letters.js';
import { Dispatcher } from '../queue/dispatcher.js';
import { GenerationCosts } from './costs/generation-costs.js';
import { paintPictures } from './generation.jobs.js';
import { GenerationQueries } from './generation.queries.js';
import type { GenerationAnswer } from './generation.schema.js';

/** A generation that is not over. */
interface Unfinished {
  id: string;
  holdId: string;
  attempts: number;
  isHandedOver: boolean;
  /** Whether a worker has it, or had until it died. */
  isLeased: boolean;
}

/** What a person had models paint: their prompts, and the work on them. */
@Injectable()
export class GenerationPersonalData implements PersonalDataPart {
  readonly name = 'generations';

  constructor(
    private readonly queries: GenerationQueries,
    private readonly costs: GenerationCosts,
    private readonly letters: DeadLetters,
    private readonly dispatcher: Dispatcher,
    private readonly changes: RowChanges,
  ) {}

  export({ id: userId }: Person): AsyncIterable<object> {
    return inPages<GenerationAnswer>((last, limit) => this.queries.listBehind(userId, last, limit));
  }

  /**
   * What is under way gives its coins back first, so that the ledger stays as if it were cancelled. All
   * of it is locked before the coins are, as by a worker that ends it; its images go with the others. A
   * worker that has some hears of it, and hangs up on the model.
   */
  async erase(em: EntityManager, { id: userId }: Person, onceErased: OnceErased): Promise<void> {
    const unfinished = await em.execute<Unfinished[]>(
      `select id, hold_id as "holdId", attempts, queued_at is not null as "isHandedOver",
              lease_id is not null as "isLeased"
       from generations where user_id = ? and next_attempt_at is not null
       order by id for update`,
      [userId],
    );
    await voidHolds(
      em,
      unfinished.map(({ holdId }) => holdId),
    );
    await this.costs.keep(em, userId);
    const erased = await em.execute<{ id: string }[]>(
      'delete from generations where user_id = ? returning id',
      [userId],
    );
    await this.letters.forget(
      em,
      paintPictures,
      erased.map(({ id }) => id),
    );
    for (const { id } of unfinished.filter(({ isLeased }) => isLeased)) {
      await this.changes.announce(em, id);
    }
    if (unfinished.length > 0) onceErased(() => this.makeRoom(userId, unfinished));
  }

  /** Takes what was under way out of the queue, and lets the next ones in, whoever's they are. */
  private async makeRoom(userId: string, unfinished: readonly Unfinished[]): Promise<void> {
    const carried = unfinished.filter(({ isHandedOver }) => isHandedOver);
    await this.dispatcher.withdraw(paintPictures, carried);
    await this.dispatcher.refill(paintPictures, userId);
  }
}
