import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { environment } from './environment.js';

/** How long what an ended process has written takes to arrive at the most, in milliseconds. */
const LAST_WORDS_MS = 1_000;

interface RunningApi {
  api: ProductProcess;
  url: string;
}

/** A process of the product as it runs in production: its own, from the build. */
export class ProductProcess {
  /** Everything that it wrote. */
  output = '';

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  /** Starts an entry point and waits for its word that it works; an early end is an error. */
  static async start(
    entry: 'main' | 'worker',
    env: Record<string, string>,
  ): Promise<ProductProcess> {
    const started = ProductProcess.spawn(entry, env);
    const ended = once(started.child, 'exit').then(() => {
      throw new Error(`${entry} ended:\n${started.output}`);
    });
    await Promise.race([once(started.child, 'message'), ended]);
    ended.catch(() => undefined);
    return started;
  }

  /** Starts an entry point and does not wait. */
  static spawn(entry: string, env: Record<string, string>, args: string[] = []): ProductProcess {
    const { build, compileCache } = environment();
    const child = fork(join(build, `src/${entry}.js`), args, {
      // As in the image.
      env: { NODE_COMPILE_CACHE: compileCache, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    return new ProductProcess(child);
  }

  /** Starts an API that knows where it answers. @param at its port; a free one by default */
  static async startApi(env: Record<string, string>, at?: number): Promise<RunningApi> {
    const port = at ?? (await freePort());
    const url = `http://127.0.0.1:${port}`;
    const api = await ProductProcess.start('main', { ...env, PORT: String(port), PUBLIC_URL: url });
    return { api, url };
  }

  /** {@link startApi} with a watch on its event loop, for {@link longestStallMs}. */
  static async startWatchedApi(env: Record<string, string>): Promise<RunningApi> {
    const watch = new URL('./loop-watch.child.ts', import.meta.url).href;
    return ProductProcess.startApi({ ...env, NODE_OPTIONS: `--import=${watch}` });
  }

  /** For how long the event loop stood still at the most since this was last asked. */
  async longestStallMs(): Promise<number> {
    const answered = once(this.child, 'message');
    this.child.send('event loop');
    const [{ longestStallMs }] = (await answered) as [{ longestStallMs: number }];
    return longestStallMs;
  }

  /** Waits for a line with this text, which it writes a moment after what that tells of. */
  async tells(text: string): Promise<string> {
    const line = await eventually(
      async () => this.output.split('\n').find((each) => each.includes(text)),
      (found) => found !== undefined,
    );
    if (line === undefined) throw new Error(`It does not tell “${text}”:\n${this.output}`);
    return line;
  }

  /** Closes its standard output from this side, as `| head` does when it has enough. */
  stopReading(): void {
    this.child.stdout?.destroy();
  }

  /** Reads nothing of its standard output any more, as a log driver that stands still. */
  holdReading(): void {
    this.child.stdout?.pause();
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /**
   * Waits for its end, and for its last words.
   *
   * @returns its exit code; null when a signal ended it
   */
  async ended(): Promise<number | null> {
    if (this.isRunning) await once(this.child, 'exit');
    const { stdout, stderr } = this.child;
    const closed = [stdout, stderr].flatMap((stream) => {
      const isRead = stream && !stream.closed && !stream.isPaused();
      return isRead ? [once(stream, 'close')] : [];
    });
    // Something that it has started may hold them open.
    await Promise.race([Promise.all(closed), sleep(LAST_WORDS_MS, undefined, { ref: false })]);
    stdout?.destroy();
    stderr?.destroy();
    return this.child.exitCode;
  }

  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    return this.ended();
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended();
  }
}
