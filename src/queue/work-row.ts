import { p, raw } from '@mikro-orm/core';
import { currentRequestId, currentTraceParent } from '../core/request-context.js';

/**
 * Columns of every table whose rows are work for a job. The row is the truth: how often it was
 * tried, when it is due, who holds it. The queue only carries its id.
 *
 * - due: `nextAttemptAt` has come and no lease is running
 * - leased: `leasedUntil` lies ahead; only the holder of `leaseId` may settle the row
 * - done: `nextAttemptAt` is null
 */
export const workColumns = {
  attempts: p.smallint().default(0),
  nextAttemptAt: p.datetime(3).nullable(),
  leaseId: p.uuid().nullable(),
  leasedUntil: p.datetime(3).nullable(),
  /** When the row was last handed to the queue; null when it waits its turn in the table. */
  queuedAt: p.datetime(3).nullable(),
  /** The request that asked for the work, for the logs of its job. */
  requestId: p.string().length(100).nullable(),
  /** Where the trace of that request goes on, when the process that wrote the row traces. */
  traceParent: p.string().length(55).nullable(),
} as const;

/**
 * What rounds of the queue read of such a table: how much of an owner is at work, and what is due next.
 *
 * @param owner the column by which owners take turns
 */
export function workIndexes(table: string, owner: string) {
  return [
    {
      name: `${table}_at_work_index`,
      expression: `create index ${table}_at_work_index on ${table} (${owner}) where queued_at is not null or leased_until is not null`,
    },
    {
      name: `${table}_due_index`,
      expression: `create index ${table}_due_index on ${table} (${owner}, next_attempt_at, id) where next_attempt_at is not null`,
    },
  ];
}

/** Why work on a row ended without success, as clients see it. */
export interface WorkError {
  /** A stable name, in kebab-case. */
  readonly code: string;
  readonly detail: string;
  /** The class of the reason, where a vendor tells one. */
  readonly reason?: string | undefined;
}

/** What the queue needs of an entity with {@link workColumns}. */
export interface WorkRow {
  id: string;
  attempts: number;
  nextAttemptAt?: Date | null;
  leaseId?: string | null;
  leasedUntil?: Date | null;
  queuedAt?: Date | null;
  requestId?: string | null;
  traceParent?: string | null;
  /** Moves the row into its working state at the start of an attempt. */
  start(): void;
  /** Moves the row into its failed state, for good unless it is revived. */
  fail(error: WorkError): void;
  /**
   * Makes work that has ended due again ({@link renewWork}). A row whose work is not over stays as it
   * is, and so does one whose work nobody can want any more.
   */
  revive(): void;
}

/**
 * When a row is due, by the database's clock: clocks of processes differ, and rows must not wait
 * for that.
 *
 * @param milliseconds from the transaction that writes it
 */
export function dueIn(milliseconds: number): Date {
  // MikroORM takes an SQL expression for any value that it writes.
  return raw<Date>('now() + make_interval(secs => ?)', [milliseconds / 1_000]);
}

/** Makes the work on a row due from its first attempt, for the request or job that runs now. */
export function renewWork(row: WorkRow): void {
  row.attempts = 0;
  row.nextAttemptAt = dueIn(0);
  row.requestId = currentRequestId() ?? null;
  row.traceParent = currentTraceParent() ?? null;
}

/** Marks the work on a row as over; part of the transaction that writes its result. */
export function endWork(row: WorkRow): void {
  row.nextAttemptAt = null;
  releaseLease(row);
}

/** Lets go of a row that is still to be done. */
export function releaseLease(row: WorkRow): void {
  row.leaseId = null;
  row.leasedUntil = null;
  row.queuedAt = null;
}
