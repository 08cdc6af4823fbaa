import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { ENV, type Env } from './env.js';
import { Shutdown } from './shutdown.js';

/** Puts right what a crash or a lost queue left behind; harmless when there is nothing to do. */
export interface Sweep {
  readonly name: string;
  /** The least time between two runs in this process, in milliseconds. Default: every tick. */
  readonly everyMs?: number;
  /** @returns how many rows it dealt with */
  run(): Promise<number>;
}

/**
 * Runs every registered sweep every few seconds, in the worker.
 *
 * It keeps no state that matters: sweeps find their work in the database and take it there, so
 * any number of replicas may run them at once. A sweep that fails is logged and runs again at the
 * next tick; it does not hold up the others.
 */
@Injectable()
export class Reconciler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private readonly sweeps: { sweep: Sweep; lastRun: number }[] = [];
  private tick: Promise<void> | undefined;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly scheduler: SchedulerRegistry,
    private readonly shutdown: Shutdown,
  ) {}

  register(sweep: Sweep): void {
    this.sweeps.push({ sweep, lastRun: -Infinity });
  }

  onApplicationBootstrap(): void {
    const interval = setInterval(() => {
      this.tick ??= this.runAll().finally(() => (this.tick = undefined));
    }, this.env.RECONCILE_EVERY_MS);
    this.scheduler.addInterval('reconciler', interval);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.scheduler.deleteInterval('reconciler');
    await this.tick;
  }

  private async runAll(): Promise<void> {
    await Promise.all(
      this.sweeps.map(async (entry) => {
        const { sweep, lastRun } = entry;
        if (this.shutdown.begun || performance.now() - lastRun < (sweep.everyMs ?? 0)) return;
        entry.lastRun = performance.now();
        try {
          const found = await sweep.run();
          if (found > 0) this.logger.log({ sweep: sweep.name, found, msg: 'Swept' });
        } catch (error) {
          this.logger.error({ err: error, sweep: sweep.name, msg: 'A sweep failed' });
        }
      }),
    );
  }
}
