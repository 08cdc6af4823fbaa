import { LockMode, sql } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { GenerationEndings } from './generation-endings.js';
import { Generation } from './generation.entity.js';

/** The most that one round ends. */
const ROUND_SIZE = 100;

/** Ends generations whose worker has died, once they had their time: a line may be long, and coins wait. */
@Injectable()
export class OverdueGenerations {
  constructor(
    private readonly em: EntityManager,
    private readonly endings: GenerationEndings,
  ) {}

  /** Leaves those alone that somebody is just ending. @returns how many it ended */
  end(): Promise<number> {
    return this.em.fork().transactional(async (em) => {
      const rows = await em.find(
        Generation,
        {
          ...{ deadlineAt: { $lte: sql.now() }, nextAttemptAt: { $ne: null } },
          $or: [{ leasedUntil: null }, { leasedUntil: { $lte: sql.now() } }],
        },
        {
          ...{ orderBy: { id: 'asc' }, limit: ROUND_SIZE },
          lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE,
        },
      );
      for (const row of rows) await this.endings.expire(row, em);
      return rows.length;
    });
  }
}
