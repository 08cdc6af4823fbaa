import { getQueueToken } from '@nestjs/bullmq';
import { Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Queue } from 'bullmq';
import { isAway } from './backend.js';
import type { JobDefinition } from './job.js';

/** How many rows of a job stand where. */
export interface RowFigures {
  /** Due and not leased, in the queue or not. */
  readonly due: number;
  /** For how long the oldest of those has been due, in seconds; 0 when none is. */
  readonly oldestDueSeconds: number;
  /** Leased: somebody works on them. */
  readonly active: number;
  /** Resting until their next attempt, or not wanted before. */
  readonly delayed: number;
}

const LEASED = 'coalesce(leased_until > now(), false)';
const DUE = `next_attempt_at <= now() and not ${LEASED}`;

/** How the work of a job stands, of all processes together, when somebody asks. */
@Injectable()
export class QueueFigures {
  constructor(
    private readonly modules: ModuleRef,
    private readonly em: EntityManager,
  ) {}

  /** Carriers that wait in the queue. @throws Error when that does not answer */
  async waiting(job: JobDefinition): Promise<number> {
    const queue = this.modules.get<Queue>(getQueueToken(job.name), { strict: false });
    if (await isAway(queue)) throw new Error(`The queue ${job.name} is away`);
    return queue.getWaitingCount();
  }

  async rows({ entity }: JobDefinition): Promise<RowFigures> {
    const { tableName } = this.em.getMetadata().get(entity);
    const [figures] = await this.em.fork().execute<RowFigures[]>(
      `select count(*) filter (where ${DUE})::int as due,
              coalesce(extract(epoch from now() - min(next_attempt_at) filter (where ${DUE})), 0)
                ::float8 as "oldestDueSeconds",
              count(*) filter (where ${LEASED})::int as active,
              count(*) filter (where next_attempt_at > now() and not ${LEASED})::int as delayed
       from "${tableName}" where next_attempt_at is not null`,
    );
    if (!figures) throw new Error('An aggregate has one row');
    return figures;
  }
}
