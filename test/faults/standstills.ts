import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** A stretch of time, in milliseconds of {@link monotonicMs}. */
export interface Span {
  from: number;
  to: number;
}

/** A clock that all threads share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Notes when the machine itself stood still, as virtual ones do for tenths of a second: threads that
 * only sleep, as many as there are processors, are woken late. What was under way then says nothing
 * of the product.
 */
export class StandstillWatch {
  // Node, which runs this file as it is, knows no properties made of parameters.
  private readonly threads: readonly Worker[];

  private constructor(threads: readonly Worker[]) {
    this.threads = threads;
  }

  static async start(): Promise<StandstillWatch> {
    const file = new URL('./standstills.thread.ts', import.meta.url);
    const threads = Array.from({ length: availableParallelism() }, () => new Worker(file));
    await Promise.all(threads.map((thread) => once(thread, 'message')));
    return new StandstillWatch(threads);
  }

  /**
   * The standstills since the last time it was asked, in order, and after each as much again, in which
   * what had piled up was worked off.
   */
  async take(): Promise<Span[]> {
    const answers = this.threads.map(async (thread) => {
      const answered = once(thread, 'message');
      thread.postMessage('take');
      const [spans] = (await answered) as [Span[]];
      return spans;
    });
    const spans = (await Promise.all(answers)).flat();
    return joined(spans.map(({ from, to }) => ({ from, to: to + (to - from) })));
  }
}

/** Whether most of a time was the machine's: of what lasts much longer, it was not the cause. */
export function isDisturbed({ from, to }: Span, standstills: readonly Span[]): boolean {
  const shared = standstills.map((each) => Math.min(to, each.to) - Math.max(from, each.from));
  const sharedMs = shared.reduce((sum, ms) => sum + Math.max(0, ms), 0);
  return sharedMs > (to - from) / 2;
}

/** The same stretches of time, in order, none of which overlap. */
function joined(spans: readonly Span[]): Span[] {
  const apart: Span[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = apart.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else apart.push({ from, to });
  }
  return apart;
}
