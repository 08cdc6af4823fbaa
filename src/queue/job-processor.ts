import { WorkerHost } from '@nestjs/bullmq';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnModuleInit,
} from '@nestjs/common';
import { RequestContext as EntityManagerContext } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Job } from 'bullmq';
import { ENV, type Env } from '../core/env.js';
import { runInContext } from '../core/request-context.js';
import { Shutdown } from '../core/shutdown.js';
import { Dispatcher } from './dispatcher.js';
import type { JobDefinition } from './job.js';
import { JobInterrupted, JobRefusal, JobTimedOut } from './job-errors.js';
import { JobRegistry } from './job-registry.js';
import { LeaseLost, RENEW_EVERY_MS, type WorkLease, WorkLeases } from './work-lease.js';
import type { WorkRow } from './work-row.js';

/** How long work may go on after its signal, in milliseconds. */
const ABORT_GRACE_MS = 2_000;

/** What an attempt may rely on. */
export interface Attempt {
  /** 1 for the first. */
  readonly number: number;
  /** Aborts on time-out, shutdown or a lost lease; the attempt's outcome is then thrown away. */
  readonly signal: AbortSignal;
}

/** Writes the outcome of an attempt, in the transaction that ends the work. */
export type WriteOutcome<Row> = (row: Row, em: EntityManager) => void | Promise<void>;

/** What every processor needs, in one parameter. */
@Injectable()
export class JobServices {
  constructor(
    readonly em: EntityManager,
    readonly leases: WorkLeases,
    readonly dispatcher: Dispatcher,
    readonly registry: JobRegistry,
    readonly shutdown: Shutdown,
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
  private readonly interrupt = new AbortController();

  protected constructor(
    private readonly job: JobDefinition<Row>,
    private readonly services: JobServices,
    /** How many rows this process works on at once. */
    private readonly concurrency: number,
  ) {
    super();
    this.logger = new Logger(job.name);
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
  }

  async onApplicationBootstrap(): Promise<void> {
    this.worker.concurrency = this.concurrency;
    this.worker.on('failed', (carrier, error) => {
      this.logger.error({
        err: error,
        carrier: carrier?.id,
        msg: 'A carrier could not be worked on',
      });
    });
    this.worker.on('error', (error) => {
      this.logger.warn({ err: error, msg: 'The queue connection reports an error' });
    });
    await this.worker.waitUntilReady();
  }

  /** Takes nothing new, lets running work finish, and interrupts it when time is nearly up. */
  async beforeApplicationShutdown(): Promise<void> {
    const timer = setTimeout(() => {
      this.interrupt.abort(new JobInterrupted());
    }, this.services.env.SHUTDOWN_TIMEOUT_MS / 2);
    await this.worker.close();
    clearTimeout(timer);
  }

  override async process(
    carrier: Job<{ payload: unknown; requestId: string | null }>,
  ): Promise<void> {
    const rowId = this.job.rowIdOf(carrier.data.payload);
    const requestId = carrier.data.requestId ?? String(carrier.id);
    await runInContext({ requestId }, () =>
      EntityManagerContext.create(this.services.em, () => this.attempt(rowId)),
    );
  }

  private async attempt(rowId: string): Promise<void> {
    const lease = await this.services.leases.take(this.job, rowId);
    if (!lease) return;
    const startedAt = performance.now();
    try {
      const outcome = await this.runAndSettle(lease);
      const ms = Math.round(performance.now() - startedAt);
      this.logger.log({ rowId, attempt: lease.row.attempts, outcome, ms, msg: 'Attempt over' });
    } catch (error) {
      this.logger.error({ err: error, rowId, msg: 'No outcome written; the lease will run out' });
      return;
    }
    // A process that stops hands over nothing: its own row would meet the carrier it came with.
    if (this.services.shutdown.begun) return;
    await this.services.dispatcher.refill(this.job, lease.ownerId);
  }

  private async runAndSettle(lease: WorkLease<Row>): Promise<string> {
    const { leases } = this.services;
    try {
      await leases.complete(lease, await this.runBounded(lease));
      return 'completed';
    } catch (error) {
      if (error instanceof LeaseLost) return 'lost';
      if (error instanceof JobRefusal) {
        await leases.refuse(lease, { code: error.code, detail: error.message });
        return `refused: ${error.code}`;
      }
      if (error instanceof JobInterrupted) {
        await leases.giveBack(lease);
        return 'given back';
      }
      this.logger.error({ err: error, rowId: lease.row.id, msg: 'Attempt failed' });
      return leases.failAttempt(lease, error);
    }
  }

  /** Runs the work until it is done, its time is up, its lease is lost or the process must stop. */
  private async runBounded(lease: WorkLease<Row>): Promise<WriteOutcome<Row>> {
    const end = new AbortController();
    const signal = AbortSignal.any([end.signal, this.interrupt.signal]);
    const timeout = setTimeout(() => {
      end.abort(new JobTimedOut(this.job.timeoutMs));
    }, this.job.timeoutMs);
    const renewal = setInterval(() => {
      this.services.leases.renew(lease).catch((error: unknown) => {
        if (error instanceof LeaseLost) end.abort(error);
      });
    }, RENEW_EVERY_MS);
    try {
      signal.throwIfAborted();
      const work = this.work(lease.row, { number: lease.row.attempts, signal });
      return await Promise.race([work, rejectAfterAbort(signal)]);
    } catch (error) {
      // Work that is aborted may throw anything; the reason of the abort is what counts.
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      clearTimeout(timeout);
      clearInterval(renewal);
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
