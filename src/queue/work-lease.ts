import { Inject, Injectable } from '@nestjs/common';
import { type FilterQuery, LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { RowChanges } from '../core/database/row-changes.js';
import { ENV, type Env } from '../core/env.js';
import { newId } from '../core/ids.js';
import { AttemptCounts } from './attempt-counts.js';
import { DeadLetters } from './dead-letters.js';
import type { JobRefusal } from './job-errors.js';
import { JobMetrics } from './job-metrics.js';
import { JobRegistry } from './job-registry.js';
import { backoff, type JobDefinition } from './job.js';
import { dueIn, endWork, releaseLease, type WorkError, type WorkRow } from './work-row.js';

/** A holder that says nothing for this long has died, in seconds. */
const LEASE_SECONDS = 15;

/** How often a holder must renew its lease, in milliseconds. */
export const RENEW_EVERY_MS = 5_000;

/** The row has been deleted, or its lease ran out and someone else holds it now. */
export class LeaseLost extends Error {
  constructor() {
    super('The lease on the row is lost');
    this.name = 'LeaseLost';
  }
}

/** The holders of all attempts died without a word: the work itself may be what kills them. */
class AttemptsExhausted extends Error {
  constructor(attempts: number) {
    super(`The worker died during each of ${attempts} attempts`);
    this.name = 'AttemptsExhausted';
  }
}

/** What ends the work for no fault of the row's: the same may succeed another time. */
export const INTERNAL_ERROR: WorkError = {
  code: 'internal-error',
  detail: 'The work failed for a reason that is not yours. It has been reported to the operator.',
};

/** The right of one attempt to work on one row and to write its outcome. */
export interface WorkLease<out Row extends WorkRow = WorkRow> {
  readonly job: JobDefinition<Row>;
  readonly leaseId: string;
  /** The row as it was when the attempt began. */
  readonly row: Row;
  readonly ownerId: string;
}

/** Takes and settles leases. Every step is one transaction, by the database's clock. */
@Injectable()
export class WorkLeases {
  constructor(
    private readonly em: EntityManager,
    private readonly changes: RowChanges,
    private readonly metrics: JobMetrics,
    private readonly registry: JobRegistry,
    private readonly letters: DeadLetters,
    private readonly counts: AttemptCounts,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Takes a row that is due, counting the attempt before the dangerous part, so that a crash
   * counts too.
   *
   * @returns undefined when the row is gone, done, not due, held, out of attempts, or as many are held
   *   as the job says
   */
  async take<Row extends WorkRow>(
    job: JobDefinition<Row>,
    rowId: string,
  ): Promise<WorkLease<Row> | undefined> {
    const taken = await this.tryToTake(job, rowId);
    if (!taken) return undefined;
    this.metrics.taken(job.name, taken.waitedSeconds);
    if (!taken.isExhausted) return taken.lease;
    this.metrics.ended(job.name, 'dead_letter', 0);
    return undefined;
  }

  /** Keeps the lease for another {@link LEASE_SECONDS}. @throws LeaseLost */
  async renew(lease: WorkLease): Promise<void> {
    const renewed = await this.em.fork().execute(
      `update ${this.tableOf(lease.job)}
       set leased_until = now() + make_interval(secs => ${LEASE_SECONDS})
       where id = ? and lease_id = ? returning 1`,
      [lease.row.id, lease.leaseId],
    );
    if (renewed.length === 0) throw new LeaseLost();
  }

  /** Looks whether it is still held. @throws LeaseLost */
  async check(lease: WorkLease): Promise<void> {
    const held = await this.em
      .fork()
      .execute(`select 1 from ${this.tableOf(lease.job)} where id = ? and lease_id = ?`, [
        lease.row.id,
        lease.leaseId,
      ]);
    if (held.length === 0) throw new LeaseLost();
  }

  /** Writes the result of the work and ends it. @throws LeaseLost */
  complete<Row extends WorkRow>(
    lease: WorkLease<Row>,
    write: (row: Row, em: EntityManager) => void | Promise<void>,
  ): Promise<void> {
    return this.settle(lease, async (row, em) => {
      await write(row, em);
      endWork(row);
      await this.letters.resolve(em, lease.job, row);
      this.counts.add(em, lease.job, 'completed');
    });
  }

  /** Ends the work with an expected refusal: nobody's fault that an operator could mend. */
  refuse(lease: WorkLease, refusal: JobRefusal): Promise<void> {
    return this.settle(lease, async (row, em) => {
      row.fail(refusal.asError());
      endWork(row);
      await this.registry.writeFailure(em, lease.job, row, refusal);
      await this.letters.refuse(em, lease.job, row, refusal);
      this.counts.add(em, lease.job, 'refused');
    });
  }

  /** Lets the row rest until its next attempt, or gives it up when that was its last. */
  async failAttempt(lease: WorkLease, cause: unknown): Promise<'retried' | 'dead_letter'> {
    const isLast = lease.row.attempts >= lease.job.retry.attempts;
    await this.settle(lease, async (row, em) => {
      if (isLast) return this.giveUp(em, lease.job, row, cause);
      row.nextAttemptAt = dueIn(backoff(lease.job.retry, row.attempts));
      releaseLease(row);
      this.counts.add(em, lease.job, 'retried');
    });
    return isLast ? 'dead_letter' : 'retried';
  }

  /** Returns a row unharmed when the process must stop: the attempt does not count. */
  giveBack(lease: WorkLease): Promise<void> {
    return this.settle(lease, (row) => {
      row.attempts -= 1;
      releaseLease(row);
    });
  }

  private tryToTake<Row extends WorkRow>(job: JobDefinition<Row>, rowId: string) {
    const leaseId = newId();
    return this.em.fork().transactional(async (em) => {
      if (!(await this.hasRoom(em, job))) return undefined;
      const [taken] = await em.execute<{ attempts: number; waited: string }[]>(
        `with due as (
           select id from ${this.tableOf(job)}
           where id = ? and next_attempt_at <= now()
             and (leased_until is null or leased_until <= now())
           for update ${job.atOnce ? 'skip locked' : ''}
         )
         update ${this.tableOf(job)} as work
         set attempts = attempts + 1, lease_id = ?, queued_at = null,
             leased_until = now() + make_interval(secs => ${LEASE_SECONDS})
         from due where work.id = due.id
         returning attempts, extract(epoch from now() - next_attempt_at) as waited`,
        [rowId, leaseId],
      );
      if (!taken) return undefined;
      const row = await this.lock(em, job, rowId, leaseId);
      const lease = { job, leaseId, row, ownerId: String(row[job.owner as keyof Row]) };
      await this.changes.announce(em, rowId);
      const isExhausted = taken.attempts > job.retry.attempts;
      if (isExhausted) {
        lease.row.attempts = job.retry.attempts;
        await this.giveUp(em, job, lease.row, new AttemptsExhausted(job.retry.attempts));
      } else {
        lease.row.start();
      }
      return { lease, isExhausted, waitedSeconds: Number(taken.waited) };
    });
  }

  /**
   * Whether another row may be held. The queue holds no more in general; but what it has had for long
   * counts as lost, so that more were handed over while no worker was there.
   */
  private async hasRoom(em: EntityManager, job: JobDefinition): Promise<boolean> {
    if (!job.atOnce) return true;
    await em.execute('select pg_advisory_xact_lock(hashtext(?))', [`take:${job.name}`]);
    const [{ held } = { held: 0 }] = await em.execute<{ held: number }[]>(
      `select count(*)::int as held from ${this.tableOf(job)} where leased_until > now()`,
    );
    return held < job.atOnce(this.env);
  }

  private settle<Row extends WorkRow>(
    lease: WorkLease<Row>,
    write: (row: Row, em: EntityManager) => void | Promise<void>,
  ): Promise<void> {
    return this.em.fork().transactional(async (em) => {
      await write(await this.lock(em, lease.job, lease.row.id, lease.leaseId), em);
      await this.changes.announce(em, lease.row.id);
    });
  }

  /** The row state and its dead letter are one transaction: there is never one without the other. */
  private async giveUp(
    em: EntityManager,
    job: JobDefinition,
    row: WorkRow,
    error: unknown,
  ): Promise<void> {
    row.fail(INTERNAL_ERROR);
    endWork(row);
    await this.registry.writeFailure(em, job, row);
    await this.letters.write(em, job, row, error);
    this.counts.add(em, job, 'dead_letter');
  }

  private async lock<Row extends WorkRow>(
    em: EntityManager,
    job: JobDefinition<Row>,
    id: string,
    leaseId: string,
  ): Promise<Row> {
    const held = { id, leaseId } as FilterQuery<Row>;
    const row = await em.findOne(job.entity, held, { lockMode: LockMode.PESSIMISTIC_WRITE });
    if (!row) throw new LeaseLost();
    return row;
  }

  private tableOf(job: JobDefinition): string {
    return `"${this.em.getMetadata().get(job.entity).tableName}"`;
  }
}
