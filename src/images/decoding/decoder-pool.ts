import { Admission } from '../../core/admission.js';
import { Decoder, type DecoderOptions } from './decoder.js';
import { type DecodeResult, type DecodeTask } from './variants.js';

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
  /** What the tasks that run at once may take together, by their estimates, in MB. */
  memoryMb: number;
  /**
   * A child that holds more than so many MB is killed, on Linux, unless the estimate of its task
   * allows it more. Default: `memoryMb`, as the estimates are generous.
   */
  maxChildMb?: number;
  /** After how many tasks a child is replaced, against slow leaks and fragmented memory. Default: 500. */
  tasksPerChild?: number;
  /** The module that each child runs. Default: `decode.child.js`. */
  childModule?: string | URL;
  /** Flags of Node for each child; those of the parent are not passed on. */
  execArgv?: string[];
  /** Runs what a task goes through, for who measures it: waiting for its turn, and being decoded. */
  measure?: <T>(stage: 'wait' | 'decode', work: () => Promise<T>) => Promise<T>;
}

export interface RunOptions {
  /** How long the child may take, in milliseconds: its start counts, waiting for a child does not. */
  timeoutMs: number;
  /** What the child will take at most, in MB: see {@link estimateMemoryMb}. */
  memoryMb: number;
  /** Takes the task out of the queue, or kills the child that runs it. */
  signal?: AbortSignal;
}

/** How much more than its estimate a task may take when that is beyond the usual limit. */
const TOLERATED_EXCESS = 1.5;

/**
 * Decodes pictures in child processes, so that a file which crashes, hangs or exhausts libvips
 * fails alone.
 *
 * Built on `fork` and not on a pool from npm: tinypool can leave a waiting task unsettled when a
 * child dies while starting, piscina has only threads, and workerpool would be a dependency in
 * place of the few lines below that matter: every task holds one place, and a child is started
 * only by a task that needs it. So a child that cannot start fails its task and nothing spins.
 */
export class DecoderPool {
  private readonly options: DecoderOptions;
  private readonly maxChildMb: number;
  private readonly measure: NonNullable<DecoderPoolOptions['measure']>;
  private readonly admission: Admission;
  /** Every child that has not ended, busy or idle. */
  private readonly decoders = new Set<Decoder>();
  private closed = false;

  constructor({
    size,
    memoryMb,
    maxChildMb = memoryMb,
    tasksPerChild = 500,
    childModule = new URL('./decode.child.js', import.meta.url),
    execArgv = [],
    measure = (_stage, work) => work(),
  }: DecoderPoolOptions) {
    this.options = { tasksPerChild, childModule, execArgv };
    this.maxChildMb = maxChildMb;
    this.measure = measure;
    this.admission = new Admission(size, memoryMb);
  }

  /**
   * Runs one task, after those that came before it have begun.
   *
   * Once it settles, nothing more is written to the output folder: a child that is killed is
   * waited for.
   *
   * @throws DecodeRefused when the file is at fault
   * @throws DecoderCrashed, DecoderTimedOut, DecoderOutOfMemory when the child did not survive it
   * @throws DecoderPoolClosed when the pool is closed first
   * @throws the signal's reason when it is aborted first
   */
  async run(task: DecodeTask, { timeoutMs, memoryMb, signal }: RunOptions): Promise<DecodeResult> {
    await this.measure('wait', () => this.admission.enter(memoryMb, signal));
    try {
      signal?.throwIfAborted();
      const killAtMb = Math.max(this.maxChildMb, Math.ceil(memoryMb * TOLERATED_EXCESS));
      const limits = { timeoutMs, killAtMb, signal };
      return await this.measure('decode', () => this.idleDecoder().run(task, limits));
    } finally {
      this.admission.leave(memoryMb);
    }
  }

  /** Kills all children, rejects what waits and what runs, and resolves when the children are gone. */
  async close(): Promise<void> {
    this.closed = true;
    this.admission.rejectWaiting(new DecoderPoolClosed());
    const decoders = [...this.decoders];
    for (const decoder of decoders) decoder.end(new DecoderPoolClosed());
    await Promise.all(decoders.map((decoder) => decoder.ended));
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
