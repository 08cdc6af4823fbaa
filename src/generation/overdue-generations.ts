import { type FilterQuery, LockMode, sql } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Logger } from '@nestjs/common';
import { idBehind, inPages } from '../core/personal-data/pages.js';
import { GenerationEndings } from './generation-endings.js';
import { Generation } from './generation.entity.js';

/** Ends generations whose worker has died, once they had their time: a line may be long, and coins wait. */
@Injectable()
export class OverdueGenerations {
  private readonly logger = new Logger(OverdueGenerations.name);

  constructor(
    private readonly em: EntityManager,
    private readonly endings: GenerationEndings,
  ) {}

  /**
   * Each in a transaction of its own: accounts of several people are never locked together, and one
   * that cannot be ended holds up no other. Leaves those alone that somebody is just ending.
   *
   * @param signal ends it between two; then it throws the signal's reason
   * @returns how many it ended
   */
  async end(signal: AbortSignal): Promise<number> {
    let ended = 0;
    for await (const { id } of inPages<{ id: string }>((last, limit) => this.find(last, limit))) {
      signal.throwIfAborted();
      if (await this.endOne(id)) ended += 1;
    }
    return ended;
  }

  private find(last: { id: string } | undefined, limit: number): Promise<{ id: string }[]> {
    return this.em
      .fork()
      .find(
        Generation,
        { $and: [overdue(), idBehind(last)] },
        { fields: ['id'], orderBy: { id: 'asc' }, limit },
      );
  }

  /** @returns whether it was still to be ended, and is now */
  private async endOne(id: string): Promise<boolean> {
    try {
      return await this.em.fork().transactional(async (em) => {
        const row = await em.findOne(
          Generation,
          { $and: [overdue(), { id }] },
          { lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE },
        );
        if (!row) return false;
        await this.endings.expire(row, em);
        return true;
      });
    } catch (error) {
      this.logger.error({ err: error, id, msg: 'A generation that had its time cannot be ended' });
      return false;
    }
  }
}

/** Had its time, and no worker has it. */
function overdue(): FilterQuery<Generation> {
  return {
    ...{ deadlineAt: { $lte: sql.now() }, nextAttemptAt: { $ne: null } },
    $or: [{ leasedUntil: null }, { leasedUntil: { $lte: sql.now() } }],
  };
}
