/** Asks a question once for all who ask at the same time, and lets the answer serve for a while. */
export class SharedAnswer<T> {
  private current: Promise<T> | undefined;
  /** Asked for once the current one has come. */
  private next: Promise<T> | undefined;
  private isAsking = false;
  private freshUntil = -Infinity;

  /** @param freshMs how long an answer, or a failure, serves from when it came, in milliseconds */
  constructor(
    private readonly ask: () => Promise<T>,
    private readonly freshMs: number,
  ) {}

  /** The last answer, or the next one when that is too old. */
  get(): Promise<T> {
    const isFresh = this.isAsking || performance.now() < this.freshUntil;
    return this.current && isFresh ? this.current : this.askNow();
  }

  /** An answer to a question that is asked from now on: it knows all that has happened before. */
  getNew(): Promise<T> {
    if (!this.current || !this.isAsking) return this.askNow();
    this.next ??= this.askAfter(this.current);
    return this.next;
  }

  private async askAfter(current: Promise<T>): Promise<T> {
    await current.catch(() => undefined);
    this.next = undefined;
    // Somebody may have been quicker.
    return this.current && this.isAsking ? this.current : this.askNow();
  }

  private askNow(): Promise<T> {
    this.isAsking = true;
    this.current = this.answered();
    return this.current;
  }

  private async answered(): Promise<T> {
    try {
      return await this.ask();
    } finally {
      this.isAsking = false;
      this.freshUntil = performance.now() + this.freshMs;
    }
  }
}
