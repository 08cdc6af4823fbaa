import { type ChildProcess, fork } from 'node:child_process';
import { DecodeRefused, type DecodeReply, type DecodeResult, type DecodeTask } from './variants.js';

/** The child ended by itself: a crash, the kernel's out-of-memory killer, or a failed start. */
export class DecoderCrashed extends Error {
  override readonly name = 'DecoderCrashed';

  constructor(exitCode: number | null, signal: NodeJS.Signals | null) {
    super(`The decoder ended with ${signal ?? `code ${exitCode ?? 'unknown'}`}.`);
  }
}

/** The child was killed because its task took too long. */
export class DecoderTimedOut extends Error {
  override readonly name = 'DecoderTimedOut';

  constructor(timeoutMs: number) {
    super(`The decoder took longer than ${timeoutMs} ms.`);
  }
}

/** The pool was closed before the task was done. */
export class DecoderPoolClosed extends Error {
  override readonly name = 'DecoderPoolClosed';

  constructor() {
    super('The decoder pool is closed.');
  }
}

export interface DecoderPoolOptions {
  /** The most children at once, and so the most tasks that run at once; at least 1. */
  size: number;
  /** After how many tasks a child is replaced, against slow leaks and fragmented memory. Default: 500. */
  tasksPerChild?: number;
  /** The module that each child runs. Default: `decode.child.js`. */
  childModule?: string | URL;
  /** Flags of Node for each child; those of the parent are not passed on. */
  execArgv?: string[];
}

export interface RunOptions {
  /** How long the child may take, in milliseconds: its start counts, waiting for a child does not. */
  timeoutMs: number;
  /** Takes the task out of the queue, or kills the child that runs it. */
  signal?: AbortSignal;
}

/**
 * Decodes pictures in child processes, so that a file which crashes or hangs libvips fails alone.
 *
 * Built on `fork` and not on a pool from npm: tinypool can leave a waiting task unsettled when a
 * child dies while starting, piscina has only threads, and workerpool would be a dependency in
 * place of the few lines below that matter: every task holds one place, and a child is started
 * only by a task that needs it. So a child that cannot start fails its task and nothing spins.
 */
export class DecoderPool {
  private readonly options: Required<DecoderPoolOptions>;
  /** Every child that has not ended, busy or idle. */
  private readonly decoders = new Set<Decoder>();
  /** Tasks that wait for a place, first come first. */
  private readonly waiting = new Set<PromiseWithResolvers<undefined>>();
  private freePlaces: number;
  private closed = false;

  constructor({
    size,
    tasksPerChild = 500,
    childModule = new URL('./decode.child.js', import.meta.url),
    execArgv = [],
  }: DecoderPoolOptions) {
    this.options = { size, tasksPerChild, childModule, execArgv };
    this.freePlaces = size;
  }

  /**
   * Runs one task, after those that came before it.
   *
   * Once it settles, nothing more is written to the output folder: a child that is killed is
   * waited for.
   *
   * @throws DecodeRefused when the file is at fault
   * @throws DecoderCrashed, DecoderTimedOut when the child did not survive the task
   * @throws DecoderPoolClosed when the pool is closed first
   * @throws the signal's reason when it is aborted first
   */
  async run(task: DecodeTask, { timeoutMs, signal }: RunOptions): Promise<DecodeResult> {
    await this.takePlace(signal);
    try {
      signal?.throwIfAborted();
      return await this.idleDecoder().run(task, timeoutMs, signal);
    } finally {
      this.leavePlace();
    }
  }

  /** Kills all children, rejects what waits and what runs, and resolves when the children are gone. */
  async close(): Promise<void> {
    this.closed = true;
    for (const turn of this.waiting) turn.reject(new DecoderPoolClosed());
    this.waiting.clear();
    const decoders = [...this.decoders];
    for (const decoder of decoders) decoder.end(new DecoderPoolClosed());
    await Promise.all(decoders.map((decoder) => decoder.ended));
  }

  private async takePlace(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.freePlaces > 0) {
      this.freePlaces -= 1;
      return;
    }
    const turn = Promise.withResolvers<undefined>();
    const giveUp = () => {
      this.waiting.delete(turn);
      turn.reject(signal?.reason);
    };
    this.waiting.add(turn);
    signal?.addEventListener('abort', giveUp);
    try {
      await turn.promise;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  private leavePlace(): void {
    const [next] = this.waiting;
    if (next === undefined) {
      this.freePlaces += 1;
      return;
    }
    this.waiting.delete(next);
    next.resolve(undefined);
  }

  private idleDecoder(): Decoder {
    if (this.closed) throw new DecoderPoolClosed();
    for (const decoder of this.decoders) {
      if (decoder.idle) return decoder;
    }
    const decoder = new Decoder(this.options);
    this.decoders.add(decoder);
    void decoder.ended.then(() => this.decoders.delete(decoder));
    return decoder;
  }
}

/** One child process and the task that it is busy with. */
class Decoder {
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private tasksLeft: number;
  private reply?: PromiseWithResolvers<DecodeReply>;
  private ending?: { reason: unknown };

  constructor({ childModule, execArgv, tasksPerChild }: Required<DecoderPoolOptions>) {
    this.tasksLeft = tasksPerChild;
    this.child = fork(childModule, {
      execArgv,
      // Nothing of the parent's environment: hostile files are decoded here, and secrets live there.
      // Two arenas save a quarter of the memory at no cost in speed.
      env: { MALLOC_ARENA_MAX: '2' },
      serialization: 'advanced',
      // Standard output belongs to the parent's log.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.child.on('message', (reply: DecodeReply) => this.reply?.resolve(reply));
    this.ended = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.end(error);
        // A process that could not even be made does not always say that it closed.
        if (this.child.pid === undefined) resolve();
      });
      // Unlike `exit`, this comes after the last message.
      this.child.on('close', (code, signal) => {
        this.ending ??= { reason: new DecoderCrashed(code, signal) };
        resolve();
      });
    });
    void this.ended.then(() => this.reply?.reject(this.ending?.reason));
  }

  get idle(): boolean {
    return this.reply === undefined && this.ending === undefined;
  }

  async run(task: DecodeTask, timeoutMs: number, signal?: AbortSignal): Promise<DecodeResult> {
    this.reply = Promise.withResolvers();
    this.tasksLeft -= 1;
    const timer = setTimeout(() => {
      this.end(new DecoderTimedOut(timeoutMs));
    }, timeoutMs);
    const abort = () => {
      this.end(signal?.reason);
    };
    signal?.addEventListener('abort', abort);
    try {
      // Where this is impossible or fails, the child is ending, and that rejects the reply.
      if (this.child.connected) this.child.send(task, () => undefined);
      return this.resultOf(await this.reply.promise);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.reply = undefined;
      if (this.tasksLeft === 0) this.end();
    }
  }

  /** Kills the process; the task that it is busy with rejects with the first reason given. */
  end(reason?: unknown): void {
    this.ending ??= { reason };
    this.child.kill('SIGKILL');
  }

  private resultOf(reply: DecodeReply): DecodeResult {
    if ('result' in reply) return reply.result;
    if ('refusal' in reply) throw new DecodeRefused(reply.refusal.code, reply.refusal.message);
    // After an error that nobody foresaw, such as no memory left, the child is not to be trusted.
    this.end();
    throw Object.assign(new Error(reply.failure.message), reply.failure);
  }
}
