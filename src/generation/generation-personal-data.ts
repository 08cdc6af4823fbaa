import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { idBehind, inPages } from '../core/personal-data/pages.js';
import type { OnceErased, Person, PersonalDataPart } from '../core/personal-data/personal-data.js';
import { DeadLetters } from '../queue/dead-letters.js';
import { Dispatcher } from '../queue/dispatcher.js';
import { GenerationEndings, imageIdsOf } from './generation-endings.js';
import { Generation } from './generation.entity.js';
import { paintPictures } from './generation.jobs.js';
import { presentGeneration } from './generation.schema.js';

/** What a person had models paint: their prompts, and the work on them. */
@Injectable()
export class GenerationPersonalData implements PersonalDataPart {
  readonly name = 'generations';

  constructor(
    private readonly em: EntityManager,
    private readonly endings: GenerationEndings,
    private readonly letters: DeadLetters,
    private readonly dispatcher: Dispatcher,
  ) {}

  async *export({ id: userId }: Person): AsyncGenerator<object> {
    const rows = inPages<Generation>((after, limit) =>
      this.em
        .fork()
        .find(Generation, { userId, ...idBehind(after) }, { orderBy: { id: 'asc' }, limit }),
    );
    for await (const row of rows) {
      const imageIds = await imageIdsOf(this.em.fork(), row.id);
      yield presentGeneration(row, { imageIds, position: null });
    }
  }

  /** What is under way gives its coins back first, so that the ledger stays as if it were cancelled. */
  async erase(em: EntityManager, { id: userId }: Person, onceErased: OnceErased): Promise<void> {
    const unfinished = await em.find(
      Generation,
      { userId, status: { $in: ['PENDING', 'PROCESSING'] } },
      { orderBy: { id: 'asc' }, lockMode: LockMode.PESSIMISTIC_WRITE },
    );
    for (const row of unfinished) await this.endings.cancel(row, em);
    await em.flush();
    const erased = await em.execute<{ id: string }[]>(
      'delete from generations where user_id = ? returning id',
      [userId],
    );
    await this.letters.forget(
      em,
      paintPictures,
      erased.map(({ id }) => id),
    );
    onceErased(() => this.dispatcher.withdraw(paintPictures, unfinished));
  }
}
