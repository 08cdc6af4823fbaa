/** A query that is waited for. */
interface Waiting {
  readonly until: number;
  readonly giveUp: () => void;
}

/**
 * Gives up the queries of one connection to which the server says nothing for too long.
 *
 * It has one timer, which looks again when it has come too early: setting and clearing one for each
 * query takes longer than all else that is done for it here.
 */
export class Silence {
  /** In the order in which they are answered. */
  private readonly waiting: Waiting[] = [];
  private timer: NodeJS.Timeout | undefined;

  /** @param limitMs after which time without an answer a query is given up, in milliseconds */
  constructor(private readonly limitMs: number) {}

  /** Waits for a query. @returns what is to be called when it is answered */
  begin(giveUp: () => void): () => void {
    const query = { until: performance.now() + this.limitMs, giveUp };
    this.waiting.push(query);
    this.timer ??= this.lookIn(this.limitMs);
    return () => {
      const index = this.waiting.indexOf(query);
      if (index >= 0) this.waiting.splice(index, 1);
    };
  }

  private lookIn(ms: number): NodeJS.Timeout {
    // The connection keeps the process; a timer that has nothing to wait for must not.
    return setTimeout(this.look, ms).unref();
  }

  private readonly look = (): void => {
    const now = performance.now();
    const firstInTime = this.waiting.findIndex(({ until }) => until > now);
    const late = this.waiting.splice(0, firstInTime < 0 ? this.waiting.length : firstInTime);
    const [next] = this.waiting;
    this.timer = next && this.lookIn(next.until - now);
    for (const { giveUp } of late) giveUp();
  };
}
