import { getQueueToken } from '@nestjs/bullmq';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Queue } from 'bullmq';
import { ENV, type Env } from '../core/env.js';
import type { Span } from '../core/tracing/span.js';
import { Tracing } from '../core/tracing/tracing.js';
import { clearDeadCarriers, isAway, noticeLoss } from './backend.js';
import { ConnectionErrors } from './connection-errors.js';
import type { JobDefinition } from './job.js';
import { Rounds, type TakenRow, type Whose } from './rounds.js';

/** How long a request waits for the round of another process, in milliseconds. A round takes a few. */
const PATIENCE_MS = 500;
/** PostgreSQL's code for a lock that was not to be had in time. */
const LOCK_NOT_AVAILABLE = '55P03';

/** What a carrier holds. */
export interface Carried {
  payload: unknown;
  requestId: string | null;
  /** Of the hand-over, within the trace of the row; absent when it was not traced. */
  traceParent?: string | undefined;
}

/** Hands due rows to the queue, round by round; {@link Rounds} decides which come next. */
@Injectable()
export class Dispatcher {
  private readonly failures = new Map<string, ConnectionErrors>();
  /** The jobs whose rounds another process holds up, as the last request has found. */
  private readonly heldUp = new Set<string>();

  constructor(
    private readonly rounds: Rounds,
    private readonly modules: ModuleRef,
    private readonly tracing: Tracing,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Hands over a row that has just been committed, or those of the same owner that come before it.
   *
   * It never throws: the row is safe, and the reconciler hands over what is left behind.
   */
  async enqueue(job: JobDefinition, rowId: string): Promise<void> {
    try {
      await this.dispatchBriefly(job, { rowId });
    } catch (error) {
      this.failuresOf(job).note(error);
    }
  }

  /** Hands over the next rows once work of an owner has been done. Never throws. */
  async refill(job: JobDefinition, ownerId: string): Promise<void> {
    try {
      await this.dispatchBriefly(job, { ownerId });
    } catch (error) {
      this.failuresOf(job).note(error);
    }
  }

  /**
   * Takes the carriers of rows that were deleted out of the queue. One that is being worked on stays
   * until then, and finds no row. Never throws: a carrier that is left holds ids of nothing.
   */
  async withdraw(
    job: JobDefinition,
    rows: readonly Pick<TakenRow, 'id' | 'attempts'>[],
  ): Promise<void> {
    try {
      const queue = this.queueOf(job);
      if (rows.length === 0 || (await isAway(queue))) return;
      await Promise.all(rows.map((row) => queue.remove(carrierId(job, row))));
    } catch (error) {
      this.failuresOf(job).note(error);
    }
  }

  /** Hands over the due rows of all owners. @returns how many */
  async sweep(job: JobDefinition): Promise<number> {
    const queue = this.queueOf(job);
    if (await isAway(queue)) return 0;
    if (await noticeLoss(queue)) await this.rounds.forgetCarriers(job);
    return this.dispatch(job, 'everyone', this.env.DATABASE_LOCK_TIMEOUT_MS);
  }

  /**
   * Dispatches for those who have better to do than to wait, and who hold a connection meanwhile. When
   * one has waited in vain, the others do not wait at all, until one finds the way free.
   */
  private async dispatchBriefly(job: JobDefinition, whose: Whose): Promise<void> {
    const patienceMs = Math.min(PATIENCE_MS, this.env.DATABASE_LOCK_TIMEOUT_MS);
    try {
      await this.dispatch(job, whose, this.heldUp.has(job.name) ? 1 : patienceMs);
      this.heldUp.delete(job.name);
    } catch (error) {
      if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) this.heldUp.add(job.name);
      else this.heldUp.delete(job.name);
      throw error;
    }
  }

  /** @param patienceMs how long to wait for the rounds of others, in milliseconds */
  private async dispatch(job: JobDefinition, whose: Whose, patienceMs: number): Promise<number> {
    const queue = this.queueOf(job);
    // The queue has told of its outage itself, and its return is when the rows are looked at again.
    if (await isAway(queue)) return 0;
    const rows = await this.rounds.take(job, whose, patienceMs);
    if (rows.length === 0) return 0;
    await this.handOver(job, queue, rows);
    return rows.length;
  }

  private async handOver(job: JobDefinition, queue: Queue, rows: TakenRow[]): Promise<void> {
    const handOvers = rows.map((row) => ({ row, span: this.beginHandOver(job, row) }));
    try {
      const lost = rows.filter((row) => row.was_queued).map((row) => carrierId(job, row));
      await clearDeadCarriers(queue, lost);
      await queue.addBulk(handOvers.map(({ row, span }) => carrierOf(job, row, span)));
      for (const { span } of handOvers) span?.end();
    } catch (error) {
      for (const { span } of handOvers) span?.end(error);
      await this.rounds.putBack(job, rows).catch(() => undefined); // They then count as lost, a little later.
      throw error;
    }
  }

  /**
   * Each row goes on with the trace of the request that asked for it, whoever hands it over. Names as
   * in https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
   */
  private beginHandOver(job: JobDefinition, row: TakenRow): Span | undefined {
    if (row.trace_parent === null) return undefined;
    const attributes = {
      'messaging.system': 'bullmq',
      'messaging.operation.type': 'send',
      'messaging.destination.name': job.name,
      'atelier.row_id': row.id,
    };
    return this.tracing.begin(
      `send ${job.name}`,
      { kind: 'producer', attributes },
      row.trace_parent,
    );
  }

  private failuresOf({ name }: JobDefinition): ConnectionErrors {
    const known = this.failures.get(name);
    if (known) return known;
    const failures = new ConnectionErrors(
      `dispatcher ${name}`,
      'Not handed over; the reconciler will',
    );
    this.failures.set(name, failures);
    return failures;
  }

  private queueOf(job: JobDefinition): Queue {
    return this.modules.get<Queue>(getQueueToken(job.name), { strict: false });
  }
}

/** The attempt is part of it: what is left of an earlier one can never swallow a new carrier. */
function carrierId(job: JobDefinition, row: Pick<TakenRow, 'id' | 'attempts'>): string {
  return `${job.name}-${row.id}-${row.attempts}`;
}

function carrierOf(job: JobDefinition, row: TakenRow, span: Span | undefined) {
  const data: Carried = {
    payload: job.payloadOf(row.id),
    requestId: row.request_id,
    traceParent: span?.traceParent,
  };
  return {
    name: job.name,
    data,
    opts: {
      jobId: carrierId(job, row),
      attempts: 1,
      removeOnComplete: true,
      removeOnFail: true,
    },
  };
}
