import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import type { Options } from '@node-rs/argon2';
import { Piscina } from 'piscina';
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
 * None is there before it is needed. When one cannot start, what waits is rejected, and the next
 * password tries again.
 */
export class Argon2Threads {
  private readonly logger = new Logger(Argon2Threads.name);
  private pool: Piscina;

  constructor(
    private readonly threads: number,
    private readonly module = THREAD,
  ) {
    this.pool = this.open();
  }

  hash(password: string, options: Options): Promise<string> {
    const task: HashTask = { password, options };
    return this.pool.run(task, { name: 'hash' }) as Promise<string>;
  }

  verify(stored: string, password: string): Promise<boolean> {
    const task: VerifyTask = { password, stored };
    return this.pool.run(task, { name: 'verify' }) as Promise<boolean>;
  }

  /** Ends all threads; what they work on is rejected. */
  close(): Promise<void> {
    return this.pool.destroy();
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
    pool.once('error', (error: Error) => {
      this.logger.error({ err: error, msg: 'A thread for passwords could not start' });
      // Others of them may still fail.
      pool.on('error', () => undefined);
      this.pool = this.open();
      void pool.destroy();
    });
    return pool;
  }
}
