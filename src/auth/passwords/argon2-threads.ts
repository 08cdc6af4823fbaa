import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import type { Options } from '@node-rs/argon2';
import { Piscina } from 'piscina';
import { Unavailable } from '../../core/problems/unavailable.js';
import type { HashTask, VerifyTask } from './argon2.thread.js';

/** How many passwords a thread holds: the one that it works on and the next. */
export const PASSWORDS_PER_THREAD = 2;
/** How long a thread waits for a password before it ends, in milliseconds. */
const IDLE_MS = 60_000;

/** The module beside this one, in the build or among the sources. */
const THREAD = fileURLToPath(
  new URL(`./argon2.thread${extname(import.meta.url)}`, import.meta.url),
);

/**
 * Threads that do nothing but argon2. Those of Node's own pool, which `@node-rs/argon2` would use,
 * are four, and read files and look up names; and each would stand idle after a password until the
 * event loop, which a storm of sign-ins keeps busy, has brought it the next.
 *
 * None is there before it is needed. When one fails, what it holds is {@link Unavailable}, and when no
 * other is left, so is what waits; the next password has others begin.
 */
export class Argon2Threads {
  private readonly logger = new Logger(Argon2Threads.name);
  private pool: Piscina | undefined;

  constructor(
    private readonly threads: number,
    private readonly module = THREAD,
  ) {}

  hash(password: string, options: Options): Promise<string> {
    const task: HashTask = { password, options };
    return this.run('hash', task);
  }

  verify(stored: string, password: string): Promise<boolean> {
    const task: VerifyTask = { password, stored };
    return this.run('verify', task);
  }

  /** Ends all threads; what they hold is rejected. */
  async close(): Promise<void> {
    const { pool } = this;
    this.pool = undefined;
    if (pool) await end(pool);
  }

  private async run<Result>(name: string, task: object): Promise<Result> {
    this.pool ??= this.open();
    const { pool } = this;
    try {
      return (await pool.run(task, { name })) as Result;
    } catch (error) {
      this.noteFailure(pool, error);
      throw new Unavailable('A thread for passwords has failed', 'PasswordThread');
    }
  }

  private open(): Piscina {
    const pool = new Piscina({
      filename: this.module,
      minThreads: 0,
      maxThreads: this.threads,
      concurrentTasksPerWorker: PASSWORDS_PER_THREAD,
      idleTimeout: IDLE_MS,
      recordTiming: false,
      // Flags of the process, such as those of a profiler, are not meant for them.
      execArgv: [],
    });
    // Of a thread that held nothing: it could not begin.
    pool.on('error', (error: unknown) => {
      this.noteFailure(pool, error);
    });
    return pool;
  }

  /** To what waits in a pool without threads nobody would come before the next password. */
  private noteFailure(pool: Piscina, error: unknown): void {
    this.logger.error({ err: error, msg: 'A thread for passwords has failed' });
    if (pool.threads.length > 0) return;
    if (this.pool === pool) this.pool = undefined;
    void end(pool);
  }
}

/** Rejects what waits as well. */
async function end(pool: Piscina): Promise<void> {
  // A thread that fails while it ends has ended.
  await pool.destroy().catch(() => undefined);
}
