import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { ENV, type Env } from '../env.js';
import { ReconcilerMetrics } from './reconciler-metrics.js';
import { Shutdown } from '../process/shutdown.js';
import { Timers } from './timers.js';

/** How late a daily sweep may begin, in milliseconds. */
const LOOK_FOR_DAILY_MS = 10_000;

/** Puts right what a crash or a lost queue left behind; harmless when there is nothing to do. */
export interface Sweep {
  readonly name: string;
  /** The least time between two runs in this process, in milliseconds. Default: every tick. */
  readonly everyMs?: number;
  /** A time of day, as HH:MM in UTC, for what runs once a day on one of all replicas. */
  readonly dailyAt?: string;
  /**
   * @param signal comes with shutdown, and to a daily run whose lease is lost; what takes long must
   *   throw then
   * @returns how many rows it dealt with
   */
  run(signal: AbortSignal): Promise<number>;
}

/**
 * Runs every registered sweep every few seconds, in the worker.
 *
 * It keeps no state that matters: sweeps find their work in the database and take it there, so
 * any number of replicas may run them at once. A sweep that fails is logged and runs again at its
 * next turn; it does not hold up the others.
 */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private readonly sweeps: {
    sweep: Sweep;
    lastRun: number;
    running?: Promise<void> | undefined;
  }[] = [];

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly scheduler: SchedulerRegistry,
    private readonly shutdown: Shutdown,
    private readonly timers: Timers,
    private readonly metrics: ReconcilerMetrics,
  ) {}

  register(sweep: Sweep): void {
    this.sweeps.push({ sweep, lastRun: -Infinity });
    this.metrics.expect(sweep.name);
  }

  onApplicationBootstrap(): void {
    const interval = setInterval(() => {
      this.runAll();
    }, this.env.RECONCILE_EVERY_MS);
    this.scheduler.addInterval('reconciler', interval);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.scheduler.deleteInterval('reconciler');
    await Promise.all(this.sweeps.flatMap(({ running }) => running ?? []));
  }

  /** Each sweep by itself: a long one holds up no other. */
  private runAll(): void {
    for (const entry of this.sweeps) {
      const { sweep, lastRun, running } = entry;
      if (this.shutdown.begun || running) continue;
      if (performance.now() - lastRun < leastPause(sweep)) continue;
      entry.lastRun = performance.now();
      entry.running = this.runOne(sweep).finally(() => {
        entry.running = undefined;
      });
    }
  }

  private async runOne(sweep: Sweep): Promise<void> {
    try {
      const found = await this.run(sweep);
      if (found === undefined) return;
      this.metrics.count(sweep.name, 'completed', found);
      if (found > 0) this.logger.log({ sweep: sweep.name, found, msg: 'Swept' });
    } catch (error) {
      // What was interrupted says so by throwing; the rest is taken up elsewhere or later.
      if (this.shutdown.begun) {
        this.metrics.count(sweep.name, 'interrupted');
        this.logger.log({ sweep: sweep.name, msg: 'A sweep was interrupted' });
      } else {
        this.metrics.count(sweep.name, 'failed');
        this.logger.error({ err: error, sweep: sweep.name, msg: 'A sweep failed' });
      }
    }
  }

  /** @returns undefined when it was not its turn */
  private run(sweep: Sweep): Promise<number | undefined> {
    if (sweep.dailyAt === undefined) return sweep.run(this.shutdown.signal);
    return this.timers.runDaily(sweep.name, sweep.dailyAt, (signal) => sweep.run(signal));
  }
}

/** A daily sweep is looked at now and then, and runs when its row says so. */
function leastPause({ everyMs = 0, dailyAt }: Sweep): number {
  return dailyAt === undefined ? everyMs : LOOK_FOR_DAILY_MS;
}
