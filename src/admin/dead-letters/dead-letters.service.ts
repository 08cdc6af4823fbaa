import { Injectable } from '@nestjs/common';
import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { type Actor, AuditLog } from '../../core/audit/audit-log.js';
import { ReadDatabase } from '../../core/database/read-database.js';
import type { Page } from '../../core/paging.js';
import { notFound, Problem } from '../../core/problems/problem.js';
import { DeadLetters } from '../../queue/dead-letters.js';
import { Dispatcher } from '../../queue/dispatcher.js';
import { FailedJob } from '../../queue/failed-job.entity.js';
import { JobRegistry } from '../../queue/job-registry.js';
import {
  countDeadLetters,
  deleteDeadLetters,
  findDeadLetter,
  groupDeadLetters,
  listDeadLetters,
  nextDeadLetters,
} from './dead-letter.queries.js';
import type {
  BulkAnswer,
  DeadLetterFilter,
  DeadLetterQuery,
  FailedJobAnswer,
  FailedJobGroup,
  Selection,
} from './dead-letter.schema.js';
import { unknownJob } from './dead-letters.problems.js';

/** How many letters are retried in one transaction. */
const BATCH_SIZE = 200;

/** Shows dead letters, has their work tried again, and deletes them. */
@Injectable()
export class DeadLettersService {
  constructor(
    private readonly em: EntityManager,
    private readonly lists: ReadDatabase,
    private readonly letters: DeadLetters,
    private readonly dispatcher: Dispatcher,
    private readonly registry: JobRegistry,
    private readonly audit: AuditLog,
  ) {}

  list(query: DeadLetterQuery): Promise<Page<FailedJobAnswer>> {
    return this.lists.read((server) => listDeadLetters(server, query));
  }

  groups(query: DeadLetterQuery): Promise<Page<FailedJobGroup>> {
    return this.lists.read((server) => groupDeadLetters(server, query));
  }

  /** @throws Problem `not-found` */
  async show(id: string): Promise<FailedJobAnswer> {
    const letter = await findDeadLetter(this.em.getKysely(), id);
    if (!letter) throw new Problem(notFound);
    return letter;
  }

  /**
   * Has the work of a FAILED letter tried again. One that is RETRYING or RESOLVED stays as it is.
   *
   * @throws Problem `not-found`, `unknown-job`
   */
  async retry(actor: Actor, id: string): Promise<FailedJobAnswer> {
    const { type, rowId } = await this.show(id);
    const job = this.registry.find(type);
    if (!job) throw new Problem(unknownJob);
    const isDue = await this.em.fork().transactional(async (em) => {
      const [letter] = await this.letters.retry(em, [id], { skipLocked: false });
      if (!letter) return false;
      this.audit.add(em, {
        actor,
        action: 'dead-letter.retried',
        target: { type: 'dead-letter', id },
        before: { status: 'FAILED' },
        after: { status: letter.status },
      });
      return letter.status === 'RETRYING';
    });
    if (isDue) await this.dispatcher.enqueue(job, rowId);
    return this.show(id);
  }

  /**
   * Deletes a letter, whatever its status. Work that is being tried again goes on, and writes a new
   * letter when it fails.
   *
   * @throws Problem `not-found`
   */
  async delete(actor: Actor, id: string): Promise<void> {
    await this.em.fork().transactional(async (em) => {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      const letter = await em.findOne(FailedJob, { id }, { lockMode });
      if (!letter) throw new Problem(notFound);
      em.remove(letter);
      const { type, rowId, status, fingerprint } = letter;
      this.audit.add(em, {
        actor,
        action: 'dead-letter.deleted',
        target: { type: 'dead-letter', id },
        before: { type, rowId, status, fingerprint },
      });
    });
  }

  /**
   * {@link retry} for all that a filter finds, in batches: when it breaks off, those that were done
   * stay done. The worker's next sweep hands the rows over, each owner's in turn.
   */
  async retryMatching(actor: Actor, { filter, dryRun }: Selection): Promise<BulkAnswer> {
    const { status = 'FAILED' } = filter;
    if (status !== 'FAILED') return { dryRun, matched: 0, changed: 0 };
    const failed = { ...filter, status };
    if (dryRun) return this.count(failed);
    let [matched, changed] = [0, 0];
    for (let after: string | undefined; ;) {
      const ids = await nextDeadLetters(this.em.getKysely(), failed, after, BATCH_SIZE);
      if (ids.length === 0) return { dryRun, matched, changed };
      matched += ids.length;
      changed += await this.retryBatch(actor, filter, ids);
      after = ids.at(-1);
    }
  }

  /** {@link delete} for all that a filter finds. */
  async deleteMatching(actor: Actor, { filter, dryRun }: Selection): Promise<BulkAnswer> {
    if (dryRun) return this.count(filter);
    const deleted = await this.em.fork().transactional(async (em) => {
      const count = await deleteDeadLetters(em.getKysely(), filter);
      this.remember(em, actor, 'dead-letters.deleted', filter, count);
      return count;
    });
    return { dryRun, matched: deleted, changed: deleted };
  }

  private retryBatch(actor: Actor, filter: DeadLetterFilter, ids: string[]): Promise<number> {
    return this.em.fork().transactional(async (em) => {
      const { length: count } = await this.letters.retry(em, ids, { skipLocked: true });
      this.remember(em, actor, 'dead-letters.retried', filter, count);
      return count;
    });
  }

  private remember(
    em: EntityManager,
    actor: Actor,
    action: string,
    filter: DeadLetterFilter,
    count: number,
  ): void {
    if (count > 0) this.audit.add(em, { actor, action, after: { filter, count } });
  }

  private async count(filter: DeadLetterFilter): Promise<BulkAnswer> {
    const matched = await countDeadLetters(this.em.getKysely(), filter);
    return { dryRun: true, matched, changed: 0 };
  }
}
