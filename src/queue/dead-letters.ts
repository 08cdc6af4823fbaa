import { Injectable } from '@nestjs/common';
import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { FailedJob } from './failed-job.entity.js';
import type { JobDefinition } from './job.js';
import { JobRegistry } from './job-registry.js';
import type { WorkRow } from './work-row.js';

interface RetryOptions {
  /** Whether letters and rows that somebody else has locked are left as they are. */
  skipLocked: boolean;
}

/**
 * What becomes of dead letters. A row has one open letter at the most; its status changes only in a
 * transaction that has locked the row first, so that the two never contradict each other.
 */
@Injectable()
export class DeadLetters {
  constructor(
    private readonly em: EntityManager,
    private readonly registry: JobRegistry,
  ) {}

  /**
   * Makes the rows of FAILED letters work again, and the letters RETRYING: what settles a row settles
   * its letter. A letter is RESOLVED when there is nothing left to do, because its row is gone.
   *
   * @param em of a transaction
   * @returns the letters that were changed; all others, and those of unknown jobs, are as they were
   */
  async retry(em: EntityManager, ids: string[], options: RetryOptions): Promise<FailedJob[]> {
    const letters = await em.find(
      FailedJob,
      { id: { $in: ids }, status: 'FAILED' },
      { disableIdentityMap: true },
    );
    const changed: FailedJob[] = [];
    for (const [type, ofType] of Map.groupBy(letters, (letter) => letter.type)) {
      const job = this.registry.find(type);
      if (job) changed.push(...(await this.retryWork(em, job, ofType, options)));
    }
    return changed;
  }

  /** The work of a row is given up; part of the transaction that says so. */
  async write(em: EntityManager, job: JobDefinition, row: WorkRow, error: unknown): Promise<void> {
    const { attempts, requestId = null } = row;
    const open = await this.lockLetters(em, job, row, ['FAILED', 'RETRYING']);
    for (const letter of open) letter.fail({ error, attempts, requestId });
    if (open.length > 0) return;
    const data = job.payloadOf(row.id);
    em.persist(new FailedJob({ type: job.name, rowId: row.id, data, error, attempts, requestId }));
  }

  /** An expected refusal is no reason for a letter, but a retry that ends with one has failed. */
  async refuse(em: EntityManager, job: JobDefinition, row: WorkRow, error: Error): Promise<void> {
    const { attempts, requestId = null } = row;
    for (const letter of await this.lockLetters(em, job, row, ['RETRYING'])) {
      letter.fail({ error, attempts, requestId });
    }
  }

  /** The work of a row is done, whether or not it was its letter that had it done. */
  async resolve(em: EntityManager, job: JobDefinition, row: WorkRow): Promise<void> {
    await em.execute(
      `update failed_jobs set status = 'RESOLVED', updated_at = now()
       where type = ? and row_id = ? and status <> 'RESOLVED'`,
      [job.name, row.id],
    );
  }

  /**
   * Resolves letters whose row was deleted while it was tried again, or whose work was ended without
   * an attempt: nobody is left to settle them.
   *
   * @returns how many
   */
  async resolveAbandoned(job: JobDefinition): Promise<number> {
    const { tableName } = this.em.getMetadata().get(job.entity);
    const resolved = await this.em.fork().execute(
      `update failed_jobs set status = 'RESOLVED', updated_at = now()
       where type = ? and status = 'RETRYING' and not exists (
         select from "${tableName}" as work
         where work.id = row_id and next_attempt_at is not null
       ) returning 1`,
      [job.name],
    );
    return resolved.length;
  }

  /** Deletes the letters of rows that the transaction of `em` has deleted for good. */
  async forget(
    em: EntityManager,
    { name }: JobDefinition,
    rowIds: readonly string[],
  ): Promise<void> {
    if (rowIds.length === 0) return;
    await em.execute('delete from failed_jobs where type = ? and row_id = any (?::uuid[])', [
      name,
      `{${rowIds.join()}}`,
    ]);
  }

  /** @param letters as they were before anything was locked */
  private async retryWork(
    em: EntityManager,
    job: JobDefinition,
    letters: FailedJob[],
    { skipLocked }: RetryOptions,
  ): Promise<FailedJob[]> {
    const lockMode = skipLocked ? LockMode.PESSIMISTIC_PARTIAL_WRITE : LockMode.PESSIMISTIC_WRITE;
    const rowIds = letters.map(({ rowId }) => rowId);
    const rows = await this.findRows(em, job, rowIds, lockMode);
    const missing = rowIds.filter((id) => !rows.has(id));
    const locked = missing.length > 0 ? await this.findRows(em, job, missing) : new Map();
    // Once the rows are locked: whoever was there first may have retried a letter, or settled it.
    const failed = await em.find(
      FailedJob,
      { id: { $in: letters.map(({ id }) => id) }, status: 'FAILED' },
      { lockMode, orderBy: { id: 'asc' } },
    );
    const changed = failed.filter(({ rowId }) => !locked.has(rowId));
    for (const letter of changed) {
      const row = rows.get(letter.rowId);
      row?.revive();
      if (row?.nextAttemptAt) letter.retry();
      else letter.resolve();
    }
    return changed;
  }

  /** By id. Without a lock they are only looked at. */
  private async findRows(
    em: EntityManager,
    job: JobDefinition,
    ids: string[],
    lockMode?: LockMode.PESSIMISTIC_WRITE | LockMode.PESSIMISTIC_PARTIAL_WRITE,
  ): Promise<Map<string, WorkRow>> {
    const rows = await em.find(
      job.entity,
      { id: { $in: ids } },
      {
        orderBy: { id: 'asc' },
        ...(lockMode === undefined ? { disableIdentityMap: true } : { lockMode }),
      },
    );
    return new Map(rows.map((row) => [row.id, row]));
  }

  private lockLetters(
    em: EntityManager,
    { name: type }: JobDefinition,
    { id: rowId }: WorkRow,
    statuses: FailedJob['status'][],
  ): Promise<FailedJob[]> {
    const lockMode = LockMode.PESSIMISTIC_WRITE;
    return em.find(FailedJob, { type, rowId, status: { $in: statuses } }, { lockMode });
  }
}
