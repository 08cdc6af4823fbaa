import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';
import type { CleanUp } from './clean-up.ts';

/** A file of the bench that runs as a process of its own and talks by messages. */
export class HelperProcess {
  private readonly child: ChildProcess;
  private readonly ended: Promise<never>;

  constructor(path: string, cleanUp: CleanUp, variables: Record<string, string> = {}) {
    this.child = fork(path, { env: variables, execArgv: [] });
    cleanUp.add(() => {
      this.kill();
    });
    this.ended = once(this.child, 'exit').then(() => {
      throw new Error(`${basename(path)} ended.`);
    });
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  send(message: object): void {
    this.child.send(message);
  }

  async nextMessage(): Promise<unknown> {
    const [message] = (await Promise.race([once(this.child, 'message'), this.ended])) as [unknown];
    return message;
  }

  /** Closes the channel, at which it ends by itself. */
  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}
