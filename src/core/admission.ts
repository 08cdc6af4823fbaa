/** A task that waits for its turn. */
interface Waiting {
  memoryMb: number;
  turn: PromiseWithResolvers<undefined>;
}

/**
 * Lets tasks begin: strictly first come first served, so many at once, and together within a
 * budget of memory.
 *
 * The first in the queue holds up those behind it until it fits, or small tasks would pass a large
 * one for ever. A task that is larger than the whole budget runs alone.
 */
export class Admission {
  /** First come first. */
  private readonly waiting = new Set<Waiting>();
  private readonly places: number;
  private readonly budgetMb: number;
  private running = 0;
  private usedMb = 0;

  constructor(places: number, budgetMb: number) {
    this.places = places;
    this.budgetMb = budgetMb;
  }

  /**
   * Resolves when the task may begin; {@link leave} must follow.
   *
   * @throws the signal's reason when it is aborted first; nothing was taken then
   */
  async enter(memoryMb: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const waiting = { memoryMb, turn: Promise.withResolvers<undefined>() };
    const giveUp = () => {
      if (!this.waiting.delete(waiting)) return;
      waiting.turn.reject(signal?.reason);
      // Those behind it may be smaller.
      this.admit();
    };
    this.waiting.add(waiting);
    signal?.addEventListener('abort', giveUp);
    this.admit();
    try {
      await waiting.turn.promise;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  leave(memoryMb: number): void {
    this.running -= 1;
    this.usedMb -= memoryMb;
    this.admit();
  }

  /** Rejects all that wait. */
  rejectWaiting(reason: unknown): void {
    for (const { turn } of this.waiting) turn.reject(reason);
    this.waiting.clear();
  }

  private admit(): void {
    for (const waiting of this.waiting) {
      if (!this.fits(waiting)) return;
      this.waiting.delete(waiting);
      this.running += 1;
      this.usedMb += waiting.memoryMb;
      waiting.turn.resolve(undefined);
    }
  }

  private fits({ memoryMb }: Waiting): boolean {
    if (this.running === 0) return true;
    return this.running < this.places && this.usedMb + memoryMb <= this.budgetMb;
  }
}
