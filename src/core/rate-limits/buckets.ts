import type { Hits, Tally } from './counters.js';

/** Senders that are remembered at once; of more, whoever came first is forgotten. */
const MAX_BUCKETS = 100_000;
/** What part of a limit a process may keep to itself: nearly all senders stay below, and cost nothing. */
const UNTOLD_PART = 0.01;

/** Requests of one sender in the minute that runs, as far as this process knows. */
interface Bucket {
  /** By all processes, as the shared store has it. */
  settled: number;
  /** Here, since then. */
  fresh: number;
  /** By `performance.now()`. */
  resetsAt: number;
}

/** What a process has counted and not told yet. */
export interface Unsettled extends Hits {
  /** Takes what the shared store has counted in all. */
  settle(tally: Tally, now?: number): void;
}

/**
 * Counts requests of many senders in memory, each up to a limit in a minute, for a shared store that is
 * told now and then: so replicas let a little more pass than one would, and no request waits.
 */
export class Buckets {
  private readonly held = new Map<string, Bucket>();

  constructor(
    readonly limit: number,
    private readonly windowMs: number,
  ) {}

  get size(): number {
    return this.held.size;
  }

  /**
   * Takes one more request, unless the limit is used up.
   *
   * @returns 0 when it was taken; else how long there is nothing left, in milliseconds
   */
  take(sender: string, now = performance.now()): number {
    const held = this.held.get(sender);
    const bucket = held && now < held.resetsAt ? held : this.begin(sender, now);
    if (bucket.settled + bucket.fresh >= this.limit) return bucket.resetsAt - now;
    bucket.fresh += 1;
    return 0;
  }

  /** What is worth telling. Forgets minutes that are over. */
  unsettled(now = performance.now()): Unsettled[] {
    const found: Unsettled[] = [];
    for (const [sender, bucket] of this.held) {
      if (now >= bucket.resetsAt) this.held.delete(sender);
      else if (bucket.fresh > this.limit * UNTOLD_PART) found.push(unsettledOf(sender, bucket));
    }
    return found;
  }

  private begin(sender: string, now: number): Bucket {
    const bucket = { settled: 0, fresh: 0, resetsAt: now + this.windowMs };
    // To its end: first in the map is who came first.
    this.held.delete(sender);
    this.held.set(sender, bucket);
    const [oldest] = this.held.size > MAX_BUCKETS ? this.held.keys() : [];
    if (oldest !== undefined) this.held.delete(oldest);
    return bucket;
  }
}

function unsettledOf(key: string, bucket: Bucket): Unsettled {
  const times = bucket.fresh;
  return {
    key,
    times,
    settle: ({ count, resetsInSeconds }, now = performance.now()) => {
      bucket.settled = count;
      bucket.fresh -= times;
      bucket.resetsAt = now + resetsInSeconds * 1_000;
    },
  };
}
