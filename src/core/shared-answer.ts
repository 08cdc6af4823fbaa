/** Asks a question once for all who ask at the same time, and lets the answer serve for a while. */
export class SharedAnswer<T> {
  private current: Promise<T> | undefined;
  private freshUntil = -Infinity;

  /** @param freshMs how long an answer, or a failure, serves from when it came, in milliseconds */
  constructor(
    private readonly ask: () => Promise<T>,
    private readonly freshMs: number,
  ) {}

  /** The last answer, or the next one when that is too old. */
  get(): Promise<T> {
    if (!this.current || performance.now() >= this.freshUntil) {
      this.freshUntil = Infinity;
      this.current = this.askNow();
    }
    return this.current;
  }

  private async askNow(): Promise<T> {
    try {
      return await this.ask();
    } finally {
      this.freshUntil = performance.now() + this.freshMs;
    }
  }
}
