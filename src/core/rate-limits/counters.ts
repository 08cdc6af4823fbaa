/** How often something has happened in the window that runs. */
export interface Tally {
  readonly count: number;
  /** Until the window ends. */
  readonly resetsInSeconds: number;
}

/** Something that happened, once or several times. */
export interface Hits {
  /** What is counted, and of whom: at most 200 characters, nothing secret; no two alike in one call. */
  readonly key: string;
  readonly times: number;
}

export const NOTHING: Tally = { count: 0, resetsInSeconds: 0 };

/** Counts what happens in windows of time, exactly, for all replicas together. */
export abstract class Counters {
  /**
   * Counts one more; the first of a window begins it.
   *
   * @param key what is counted, and of whom: at most 200 characters, nothing secret
   */
  async hit(key: string, windowSeconds: number): Promise<Tally> {
    const [tally = NOTHING] = await this.hitAll([{ key, times: 1 }], windowSeconds);
    return tally;
  }

  /** Counts for many at once. @returns a tally for each, in their order */
  abstract hitAll(hits: readonly Hits[], windowSeconds: number): Promise<Tally[]>;

  /** What has been counted so far; nothing is counted by asking. */
  abstract look(key: string): Promise<Tally>;

  /** Forgets windows that are over. @returns how many */
  abstract forgetPast(): Promise<number>;
}
