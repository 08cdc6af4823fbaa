import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Options {
  /** All of its environment. */
  variables?: Record<string, string>;
  args?: string[];
}

/** A file of the bench or of the tests that runs as a process of its own and talks by messages. */
export class HelperProcess {
  private readonly child: ChildProcess;
  private readonly ended: Promise<never>;

  /** Whoever starts it stops or kills it. */
  constructor(file: URL, { variables = {}, args = [] }: Options = {}) {
    const path = fileURLToPath(file);
    this.child = fork(path, args, { env: variables, execArgv: [] });
    this.ended = once(this.child, 'exit').then(() => {
      throw new Error(`${basename(path)} ended.`);
    });
    this.ended.catch(() => undefined);
  }

  /** Starts one whose first message says that it is ready. */
  static async ready(file: URL, options?: Options): Promise<HelperProcess> {
    const started = new HelperProcess(file, options);
    await started.nextMessage();
    return started;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  send(message: object | string): void {
    this.child.send(message);
  }

  /** Hears every message from now on. */
  onMessage(listener: (message: unknown) => void): void {
    this.child.on('message', listener);
  }

  /** Waits for a message that is still to come. @throws Error when it ends, or has ended, instead */
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
