import { getQueueToken } from '@nestjs/bullmq';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Queue } from 'bullmq';
import { SILENT_HOLDER_MS } from '../core/database/session-limits.js';
import { ENV, type Env } from '../core/env.js';
import type { Span } from '../core/tracing/span.js';
import { Tracing } from '../core/tracing/tracing.js';
import { clearDeadCarriers, isAway, noticeLoss } from './backend.js';
import { ConnectionErrors } from './connection-errors.js';
import type { JobDefinition } from './job.js';

/** A row that was handed over this long ago and is still due has lost its carrier, in seconds. */
const CARRIER_LOST_AFTER_SECONDS = 10;
/** What was handed over then, or earlier, has lost its carrier. */
const LOST = `now() - make_interval(secs => ${CARRIER_LOST_AFTER_SECONDS})`;
/** A row that may be handed over. */
const DUE = `next_attempt_at <= now() and (leased_until is null or leased_until <= now())
  and (queued_at is null or queued_at <= ${LOST})`;
/** A row that takes one of its owner's places: in the words of the index of such rows. */
const BUSY = `(queued_at is not null or leased_until is not null) and next_attempt_at is not null
  and (leased_until > now() or queued_at > ${LOST})`;
/** The most rows that one round hands over. */
const ROUND_SIZE = 500;
/** How long a request waits for the round of another process, in milliseconds. A round takes a few. */
const PATIENCE_MS = 500;
/** PostgreSQL's code for a lock that was not to be had in time. */
const LOCK_NOT_AVAILABLE = '55P03';

interface TakenRow {
  id: string;
  attempts: number;
  request_id: string | null;
  trace_parent: string | null;
  /** Whether it was handed over before, for the same attempt. */
  was_queued: boolean;
}

/** What a carrier holds. */
export interface Carried {
  payload: unknown;
  requestId: string | null;
  /** Of the hand-over, within the trace of the row; absent when it was not traced. */
  traceParent?: string | undefined;
}

/**
 * Hands due rows to the queue: oldest first, owners in turn, at most `QUEUE_PER_OWNER` rows of one
 * owner, or as many as the job says, in the queue or at work at once.
 */
@Injectable()
export class Dispatcher {
  private readonly failures = new Map<string, ConnectionErrors>();
  /** The jobs whose rounds another process holds up, as the last request has found. */
  private readonly heldUp = new Set<string>();

  constructor(
    private readonly em: EntityManager,
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
      const { table, owner } = this.names(job);
      await this.dispatchBriefly(job, `select ${owner} as owner from ${table} where id = ?`, rowId);
    } catch (error) {
      this.failuresOf(job).note(error);
    }
  }

  /** Hands over the next rows of an owner whose work has just been done. Never throws. */
  async refill(job: JobDefinition, ownerId: string): Promise<void> {
    try {
      await this.dispatchBriefly(job, 'select ?::uuid as owner', ownerId);
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
    if (await noticeLoss(queue)) await this.forgetCarriers(job);
    const { table, owner } = this.names(job);
    const owners = `select distinct ${owner} as owner from ${table} where ${DUE}`;
    return this.dispatch(job, owners, [], this.env.DATABASE_LOCK_TIMEOUT_MS);
  }

  /**
   * Dispatches for those who have better to do than to wait, and who hold a connection meanwhile. When
   * one has waited in vain, the others do not wait at all, until one finds the way free.
   */
  private async dispatchBriefly(job: JobDefinition, owners: string, owner: string): Promise<void> {
    const patienceMs = Math.min(PATIENCE_MS, this.env.DATABASE_LOCK_TIMEOUT_MS);
    try {
      await this.dispatch(job, owners, [owner], this.heldUp.has(job.name) ? 1 : patienceMs);
      this.heldUp.delete(job.name);
    } catch (error) {
      if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) this.heldUp.add(job.name);
      else this.heldUp.delete(job.name);
      throw error;
    }
  }

  /**
   * @param owners a query of the owners whose rows are looked at, with its parameters
   * @param patienceMs how long to wait for the rounds of others, in milliseconds
   */
  private async dispatch(
    job: JobDefinition,
    owners: string,
    parameters: string[],
    patienceMs: number,
  ): Promise<number> {
    const queue = this.queueOf(job);
    // The queue has told of its outage itself, and its return is when the rows are looked at again.
    if (await isAway(queue)) return 0;
    const rows = await this.take(job, owners, parameters, patienceMs);
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
      await this.putBack(job, rows).catch(() => undefined); // They then count as lost, a little later.
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

  /**
   * Marks the rows of the next round as queued. Rounds of one job run one after the other, because
   * two at once would both see the same free places of an owner. A process that freezes in its own
   * loses it soon.
   *
   * Of each owner no more rows are read than it has places, in the order of the index: a round must
   * not take longer because thousands wait. A planner that has not heard of those would read all of
   * them by a bitmap.
   */
  private take(
    job: JobDefinition,
    owners: string,
    parameters: string[],
    patienceMs: number,
  ): Promise<TakenRow[]> {
    const { table, owner } = this.names(job);
    const perOwner = job.perOwner?.(this.env) ?? this.env.QUEUE_PER_OWNER;
    return this.em.fork().transactional(async (em) => {
      await em.execute(
        `select set_config('lock_timeout', ?, true),
                set_config('idle_in_transaction_session_timeout', ?, true),
                set_config('enable_bitmapscan', 'off', true)`,
        [`${patienceMs}ms`, `${SILENT_HOLDER_MS}ms`],
      );
      await em.execute(`select pg_advisory_xact_lock(hashtext(?))`, [`dispatch:${job.name}`]);
      return em.execute<TakenRow[]>(
        `with owners as (${owners}), waiting as (
           select rows.*, row_number() over (
             partition by owners.owner order by rows.next_attempt_at, rows.id
           ) as turn
           from owners cross join lateral (
             select id, next_attempt_at, queued_at is not null as was_queued
             from ${table} where ${owner} = owners.owner and ${DUE}
             order by next_attempt_at, id
             limit greatest(0, ? - (
               select count(*) from ${table} where ${owner} = owners.owner and ${BUSY}
             ))
           ) as rows
         ), chosen as (
           select * from waiting order by turn, next_attempt_at limit ?
         ), taken as (
           update ${table} set queued_at = now()
           where id = any (array(select id from chosen)) and ${DUE}
           returning id, attempts, request_id, trace_parent
         )
         select taken.*, chosen.was_queued from taken join chosen using (id)
         order by turn, next_attempt_at`,
        [...parameters, perOwner, ROUND_SIZE],
      );
    });
  }

  /** Has all carriers count as lost at once: their rows take their turn again. */
  private async forgetCarriers(job: JobDefinition): Promise<void> {
    await this.em.fork().execute(
      `update ${this.names(job).table} set queued_at = ${LOST}
         where next_attempt_at is not null and queued_at is not null`,
    );
  }

  /**
   * Lets rows that were not handed over take their turn again at once: as lost, because there may be
   * something of their carriers.
   */
  private async putBack(job: JobDefinition, rows: TakenRow[]): Promise<void> {
    await this.em.fork().execute(
      `update ${this.names(job).table} set queued_at = ${LOST}
         where id in (${rows.map(() => '?').join()}) and queued_at is not null`,
      rows.map(({ id }) => id),
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

  private names(job: JobDefinition): { table: string; owner: string } {
    const { tableName, properties } = this.em.getMetadata().get(job.entity);
    const owner = properties[job.owner as keyof typeof properties].fieldNames[0];
    return { table: `"${tableName}"`, owner: `"${owner}"` };
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
