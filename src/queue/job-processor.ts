import { setTimeout as delay } from 'node:timers/promises';
import { OnWorkerEvent, WorkerHost } from '@nestjs/bullmq';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
} from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Job } from 'bullmq';
import { withOwnEntityManager } from '../core/database/own-entity-manager.js';
import { RowChanges } from '../core/database/row-changes.js';
import { ENV, type Env } from '../core/env.js';
import { secondsSince } from '../core/metrics/duration.js';
import { isUnavailable } from '../core/problems/unavailable.js';
import { currentContext, runInContext } from '../core/request-context.js';
import { Shutdown } from '../core/process/shutdown.js';
import { runInSpan } from '../core/tracing/in-span.js';
import { isSameTrace } from '../core/tracing/trace-parent.js';
import { Tracing } from '../core/tracing/tracing.js';
import { untilConnected } from './backend.js';
import { ConnectionErrors } from './connection-errors.js';
import { type Carried, Dispatcher } from './dispatcher.js';
import type { JobDefinition } from './job.js';
import { JobInterrupted, JobRefusal, JobTimedOut } from './job-errors.js';
import { JobMetrics, type JobOutcome } from './job-metrics.js';
import { JobRegistry } from './job-registry.js';
import { type Tidy, Tidyings } from './tidyings.js';
import { LeaseLost, RENEW_EVERY_MS, type WorkLease, WorkLeases } from './work-lease.js';
import type { WorkRow } from './work-row.js';

/** How long work may go on after its signal, in milliseconds. */
const ABORT_GRACE_MS = 2_000;
/**
 * How long a carrier waits for a database that is away, in milliseconds. Were it to fail at once,
 * workers would use up all carriers of an outage, and their rows wait until those count as lost.
 */
const TAKE_PATIENCE_MS = 10_000;
/** How long an outcome waits for it, in milliseconds: the work would be done again, and may cost money. */
const SETTLE_PATIENCE_MS = 60_000;
const AGAIN_AFTER_MS = 250;

/** What an attempt may rely on. */
export interface Attempt {
  /** 1 for the first. */
  readonly number: number;
  /** Aborts on time-out, shutdown or a lost lease; the attempt's outcome is then thrown away. */
  readonly signal: AbortSignal;
  /** Tidies up when the attempt is over, whatever came of it. */
  onceOver(tidy: Tidy): void;
}

/**
 * Writes the outcome of an attempt, in the transaction that ends the work. It may be asked to again, in
 * another transaction, when that one failed for want of the database.
 */
export type WriteOutcome<Row> = (row: Row, em: EntityManager) => void | Promise<void>;

/** How an attempt has ended. */
interface Ending {
  outcome: JobOutcome;
  /** Of a refusal. */
  code?: string;
}

/** What every processor needs, in one parameter. */
@Injectable()
export class JobServices {
  constructor(
    readonly em: EntityManager,
    readonly leases: WorkLeases,
    readonly dispatcher: Dispatcher,
    readonly registry: JobRegistry,
    readonly changes: RowChanges,
    readonly shutdown: Shutdown,
    readonly metrics: JobMetrics,
    readonly tracing: Tracing,
    @Inject(ENV) readonly env: Env,
  ) {}
}

/**
 * Base of every processor: takes the row that the carrier names, runs the work in a forked
 * EntityManager and a log context, keeps the lease alive, applies the time-out, and settles the
 * row. A subclass only does the work.
 */
export abstract class JobProcessor<Row extends WorkRow>
  extends WorkerHost
  implements OnModuleInit, BeforeApplicationShutdown
{
  private readonly logger: Logger;
  private readonly errors: ConnectionErrors;
  private readonly interrupt = new AbortController();
  private isConnected = false;

  protected constructor(
    private readonly job: JobDefinition<Row>,
    private readonly services: JobServices,
    /** How many rows this process works on at once. */
    private readonly concurrency: number,
  ) {
    super();
    this.logger = new Logger(job.name);
    this.errors = new ConnectionErrors(`worker ${job.name}`);
  }

  /**
   * Works on a leased row, outside any transaction.
   *
   * @returns what to write when it succeeded
   * @throws JobRefusal for an expected end; anything else counts as a failed attempt
   */
  protected abstract work(row: Row, attempt: Attempt): Promise<WriteOutcome<Row>>;

  onModuleInit(): void {
    this.services.registry.handle(this.job);
    this.services.metrics.expect(this.job.name);
  }

  async onApplicationBootstrap(): Promise<void> {
    this.worker.concurrency = this.concurrency;
    this.worker.waitUntilReady().then(
      () => {
        this.isConnected = true;
      },
      () => undefined, // which the worker reports
    );
    await untilConnected(this.worker);
  }

  /** From when the worker is made: BullMQ prints what nobody listens to. */
  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.errors.note(error);
  }

  @OnWorkerEvent('failed')
  onFailed(carrier: Job<Carried> | undefined, error: Error): void {
    this.logger.error({
      err: error,
      carrier: carrier?.id,
      msg: 'A carrier could not be worked on',
    });
  }

  /** Takes nothing new, lets running work finish, and interrupts it when time is nearly up. */
  async beforeApplicationShutdown(): Promise<void> {
    const timer = setTimeout(() => {
      this.interrupt.abort(new JobInterrupted());
    }, this.services.env.SHUTDOWN_TIMEOUT_MS / 2);
    // One that never had a connection has no work to wait for, but BullMQ waits for the connection.
    await this.worker.close(!this.isConnected);
    clearTimeout(timer);
  }

  override async process(carrier: Job<Carried>): Promise<void> {
    const { payload, traceParent } = carrier.data;
    const rowId = this.job.rowIdOf(payload);
    const requestId = carrier.data.requestId ?? String(carrier.id);
    await runInContext({ requestId }, () =>
      withOwnEntityManager(this.services.em, () => this.attempt(rowId, traceParent)),
    );
  }

  private async attempt(rowId: string, traceParent: string | undefined): Promise<void> {
    const lease = await this.take(rowId);
    if (!lease) return;
    const isSettled = await this.traced(lease, traceParent, () => this.runAndReport(lease));
    // A process that stops hands over nothing: its own row would meet the carrier it came with.
    if (!isSettled || this.services.shutdown.begun) return;
    await this.services.dispatcher.refill(this.job, lease.ownerId);
  }

  private take(rowId: string): Promise<WorkLease<Row> | undefined> {
    const take = () => this.services.leases.take(this.job, rowId);
    return this.patiently(rowId, TAKE_PATIENCE_MS, take);
  }

  private async patiently<T>(
    rowId: string,
    patienceMs: number,
    step: () => Promise<T>,
  ): Promise<T> {
    const giveUpAt = performance.now() + patienceMs;
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await step();
      } catch (error) {
        const isOver = this.services.shutdown.begun || performance.now() > giveUpAt;
        if (isOver || !isUnavailable(error)) throw error;
        if (isFirst) this.logger.warn({ err: error, rowId, msg: 'Waiting for the database' });
        await delay(AGAIN_AFTER_MS);
      }
    }
  }

  /** The trace is the row's: a carrier may be left over from an earlier request. */
  private traced<T>(
    { row }: WorkLease<Row>,
    traceParent: string | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const attributes = {
      'messaging.system': 'bullmq',
      'messaging.operation.type': 'process',
      'messaging.destination.name': this.job.name,
      'atelier.row_id': row.id,
      'atelier.attempt': row.attempts,
      'atelier.request_id': row.requestId ?? '',
    };
    const span = this.services.tracing.begin(
      `process ${this.job.name}`,
      { kind: 'consumer', attributes },
      isSameTrace(traceParent, row.traceParent) ? traceParent : row.traceParent,
    );
    return span ? runInSpan(span, work) : work();
  }

  /** @returns whether an outcome is written, be it by somebody else */
  private async runAndReport(lease: WorkLease<Row>): Promise<boolean> {
    const startedAt = performance.now();
    const { id: rowId, attempts: attempt } = lease.row;
    const tidyings = new Tidyings(this.logger);
    const report = (outcome: JobOutcome) => {
      this.services.metrics.ended(this.job.name, outcome, secondsSince(startedAt));
      currentContext()?.span?.set({ 'atelier.outcome': outcome });
    };
    try {
      const { outcome, code } = await this.runAndSettle(lease, tidyings);
      await tidyings.begin(outcome === 'completed');
      report(outcome);
      const ms = Math.round(performance.now() - startedAt);
      this.logger.log({ rowId, attempt, outcome, code, ms, msg: 'Attempt over' });
      return true;
    } catch (error) {
      await tidyings.begin(false);
      report('lease_lost');
      if (error instanceof LeaseLost) {
        this.logger.log({ rowId, attempt, outcome: 'lease_lost', msg: 'Attempt over' });
        return true;
      }
      this.logger.error({ err: error, rowId, msg: 'No outcome written; the lease will run out' });
      return false;
    }
  }

  private async runAndSettle(lease: WorkLease<Row>, tidyings: Tidyings): Promise<Ending> {
    try {
      const write = await this.runBounded(lease, tidyings);
      await this.settle(lease, (leases) => leases.complete(lease, write));
      return { outcome: 'completed' };
    } catch (error) {
      return this.endWithout(lease, error);
    }
  }

  private async endWithout(lease: WorkLease<Row>, error: unknown): Promise<Ending> {
    if (error instanceof LeaseLost) throw error;
    if (error instanceof JobRefusal) {
      await this.settle(lease, (leases) => leases.refuse(lease, error));
      return { outcome: 'refused', code: error.code };
    }
    if (error instanceof JobInterrupted) {
      await this.settle(lease, (leases) => leases.giveBack(lease));
      return { outcome: 'interrupted' };
    }
    this.logger.error({ err: error, rowId: lease.row.id, msg: 'Attempt failed' });
    return { outcome: await this.settle(lease, (leases) => leases.failAttempt(lease, error)) };
  }

  private settle<T>({ row }: WorkLease<Row>, step: (leases: WorkLeases) => Promise<T>): Promise<T> {
    return this.patiently(row.id, SETTLE_PATIENCE_MS, () => step(this.services.leases));
  }

  /** Runs the work until it is done, its time is up, its lease is lost or the process must stop. */
  private async runBounded(lease: WorkLease<Row>, tidyings: Tidyings): Promise<WriteOutcome<Row>> {
    const { leases, changes } = this.services;
    const end = new AbortController();
    const signal = AbortSignal.any([end.signal, this.interrupt.signal]);
    const timeout = setTimeout(() => {
      end.abort(new JobTimedOut(this.job.timeoutMs));
    }, this.job.timeoutMs);
    const endWhenLost = (error: unknown) => {
      if (error instanceof LeaseLost) end.abort(error);
    };
    const renewal = setInterval(() => {
      leases.renew(lease).catch(endWhenLost);
    }, RENEW_EVERY_MS);
    // Whoever deletes the row, or ends it, is heard at once: the work may cost money.
    const unfollow = changes.follow(lease.row.id, () => {
      leases.check(lease).catch(endWhenLost);
    });
    try {
      signal.throwIfAborted();
      const onceOver = tidyings.add.bind(tidyings);
      const work = this.work(lease.row, { number: lease.row.attempts, signal, onceOver });
      return await Promise.race([work, rejectAfterAbort(signal)]);
    } catch (error) {
      // Work that is aborted may throw anything; the reason of the abort is what counts.
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      clearTimeout(timeout);
      clearInterval(renewal);
      unfollow();
    }
  }
}

/** Rejects a little after the abort: work that heeds its signal has then tidied up behind itself. */
function rejectAfterAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      setTimeout(reject, ABORT_GRACE_MS, signal.reason).unref();
    });
  });
}
