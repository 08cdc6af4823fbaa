import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { watchMemory } from './memory-watch.js';
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

/** The child was killed because its task took too much memory. */
export class DecoderOutOfMemory extends Error {
  override readonly name = 'DecoderOutOfMemory';

  constructor(limitMb: number) {
    super(`The decoder took more than ${limitMb} MB of memory.`);
  }
}

export interface DecoderOptions {
  /** After how many tasks the child ends, against slow leaks and fragmented memory. */
  tasksPerChild: number;
  childModule: string | URL;
  execArgv: string[];
}

/** What a task may take before its child is killed. */
export interface TaskLimits {
  /** In milliseconds; the child's start counts. */
  timeoutMs: number;
  /** Resident memory of the child, on Linux; elsewhere it is not watched. */
  killAtMb: number;
  signal?: AbortSignal;
}

/**
 * Hostile files are decoded here, and secrets live in the parent's environment: nothing of it is
 * handed on.
 *
 * Two arenas save a quarter of the memory at no cost in speed. The thresholds are glibc's, in bytes:
 * what is larger than 16 MB, such as the coefficients of a progressive JPEG, is given back at once.
 */
const CHILD_ENV = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(16 * 1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(32 * 1024 * 1024),
};

/** Of util-linux: lets the kernel kill a child whose parent is gone. */
const DIES_WITH_PARENT = ['/usr/bin/setpriv', '--pdeathsig', 'KILL', process.execPath] as const;

/**
 * How a child is started: on Linux so that it ends with its parent. One that is busy within a picture
 * would not hear that its channel was closed.
 */
const [EXECUTABLE, ...EXECUTABLE_FLAGS] =
  spawnSync(DIES_WITH_PARENT[0], [...DIES_WITH_PARENT.slice(1), '--version']).status === 0
    ? DIES_WITH_PARENT
    : [process.execPath];

/** The heap of JavaScript is small: pixels lie outside it. The child asks for collections itself. */
const CHILD_FLAGS = ['--expose-gc', '--max-semi-space-size=1', '--max-old-space-size=128'];

/** One child process and the task that it is busy with. */
export class Decoder {
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private tasksLeft: number;
  private reply?: PromiseWithResolvers<DecodeReply>;
  private ending?: { reason: unknown };

  constructor({ childModule, execArgv, tasksPerChild }: DecoderOptions) {
    this.tasksLeft = tasksPerChild;
    this.child = fork(childModule, {
      execPath: EXECUTABLE,
      execArgv: [...EXECUTABLE_FLAGS, ...CHILD_FLAGS, ...execArgv],
      env: CHILD_ENV,
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

  async run(task: DecodeTask, limits: TaskLimits): Promise<DecodeResult> {
    this.reply = Promise.withResolvers();
    this.tasksLeft -= 1;
    const release = this.enforce(limits);
    try {
      // Where this is impossible or fails, the child is ending, and that rejects the reply.
      if (this.child.connected) this.child.send(task, () => undefined);
      return this.resultOf(await this.reply.promise);
    } finally {
      release();
      this.reply = undefined;
      if (this.tasksLeft === 0) this.end();
    }
  }

  /** Kills the process; the task that it is busy with rejects with the first reason given. */
  end(reason?: unknown): void {
    this.ending ??= { reason };
    this.child.kill('SIGKILL');
  }

  /** Ends the process when a limit is passed, until what is returned is called. */
  private enforce({ timeoutMs, killAtMb, signal }: TaskLimits): () => void {
    const timer = setTimeout(() => {
      this.end(new DecoderTimedOut(timeoutMs));
    }, timeoutMs);
    const stopWatching =
      this.child.pid === undefined
        ? () => undefined
        : watchMemory(this.child.pid, killAtMb, () => {
            this.end(new DecoderOutOfMemory(killAtMb));
          });
    const abort = () => {
      this.end(signal?.reason);
    };
    signal?.addEventListener('abort', abort);
    return () => {
      clearTimeout(timer);
      stopWatching();
      signal?.removeEventListener('abort', abort);
    };
  }

  private resultOf(reply: DecodeReply): DecodeResult {
    if ('result' in reply) return reply.result;
    if ('refusal' in reply) throw new DecodeRefused(reply.refusal.code, reply.refusal.message);
    // After an error that nobody foresaw, such as no memory left, the child is not to be trusted.
    this.end();
    throw Object.assign(new Error(reply.failure.message), reply.failure);
  }
}
