import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import type { Options } from '@node-rs/argon2';
import type { Piscina } from 'piscina';
import { Unavailable } from '../../core/problems/unavailable.js';
import type { HashTask, VerifyTask } from './argon2.thread.js';

/** How many passwords a thread holds: the one that it works on and the next. */
export const PASSWORDS_PER_THREAD = 2;

/** The module beside this one, in the build or among the sources. */
const THREAD = fileURLToPath(
  new URL(`./argon2.thread${extname(import.meta.url)}`, import.meta.url),
);

/**
 * Threads that do nothing but argon2. Those of Node's own pool, which `@node-rs/argon2` would use,
 * are four, and read files and look up names; and each would stand idle after a password until the
 * event loop, which a storm of sign-ins keeps busy, has brought it the next.
 *
 * They begin with the first password, all of them: to one that begins later piscina brings no second
 * password while others wait. When one fails, what it holds is {@link Unavailable}, and when one cannot
 * even begin, all that is here; the next password has others begin.
 */
export class Argon2Threads {
  private readonly logger = new Logger(Argon2Threads.name);
  private pool: Promise<Piscina> | undefined;

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
    const pool = await this.pool;
    await pool?.destroy();
  }

  private async run<Result>(name: string, task: object): Promise<Result> {
    this.pool ??= this.open();
    const pool = await this.pool;
    try {
      return (await pool.run(task, { name })) as Result;
    } catch (error) {
      this.logger.error({ err: error, msg: 'A thread for passwords has failed' });
      throw new Unavailable('A thread for passwords has failed', 'PasswordThread');
    }
  }

  /** Loaded with the first password: the worker never has one. */
  private async open(): Promise<Piscina> {
    const { Piscina } = await import('piscina');
    const pool = new Piscina({
      filename: this.module,
      minThreads: this.threads,
      maxThreads: this.threads,
      concurrentTasksPerWorker: PASSWORDS_PER_THREAD,
      recordTiming: false,
      // Flags of the process, such as those of a profiler, are not meant for them.
      execArgv: [],
    });
    // Of a thread that held nothing: one that could not begin in the place of another.
    pool.on('error', (error: Error) => {
      this.logger.error({ err: error, msg: 'A thread for passwords could not begin' });
      this.pool = undefined;
      void pool.destroy();
    });
    return pool;
  }
}
