import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ENV, type Env } from '../../core/env.js';
import { Problem, unavailable } from '../../core/problems/problem.js';
import { tooManyUploads } from '../images.problems.js';
import { brokenOff } from './incoming-file.js';
import { discardBody, type UploadTurn } from './upload-form.js';

/** How long an upload waits for a place, in milliseconds. Nothing of its body is read meanwhile. */
const WAIT_MS = 20_000;
/** From what age on an upload makes room, when nobody has more places than others, in milliseconds. */
const OLD_MS = 60_000;
const RETRY_AFTER_SECONDS = '5';

/** What an upload has while its body is read. */
interface Place {
  userId: string;
  since: number;
  displaced: AbortController;
}

interface Waiting {
  userId: string;
  turn: PromiseWithResolvers<Place>;
}

/**
 * Bounds how many uploads one process takes in at once: each holds a connection, buffers and a file
 * for as long as its client likes, within the limits of time.
 *
 * No account has more than its share. When all places are taken, whoever comes from an account with
 * fewer gets the oldest place of the account with most; so those who hold places for long, also with
 * many accounts, keep nobody out.
 */
@Injectable()
export class UploadPlaces {
  /** Oldest first. */
  private readonly taken = new Set<Place>();
  /** First come first. */
  private readonly waiting = new Set<Waiting>();

  constructor(
    @Inject(ENV) private readonly env: Pick<Env, 'UPLOADS_AT_ONCE' | 'UPLOADS_PER_ACCOUNT'>,
  ) {}

  /**
   * Works on an upload while it has a place.
   *
   * @throws Problem `too-many-uploads` when the account has its share, `unavailable` when all places
   * are taken, `malformed` when the client goes away before it had its turn; what `work` throws
   */
  async hold<T>(
    request: FastifyRequest,
    userId: string,
    work: (turn: UploadTurn) => Promise<T>,
  ): Promise<T> {
    const from = performance.now();
    const place = await this.enter(request.raw, userId).catch((error: unknown) => {
      discardBody(request);
      throw error;
    });
    try {
      const { signal: displaced } = place.displaced;
      return await work({ displaced, waitedMs: performance.now() - from });
    } finally {
      this.taken.delete(place);
      this.admit();
    }
  }

  private async enter(raw: FastifyRequest['raw'], userId: string): Promise<Place> {
    const hasShare = countOf(this.taken, userId) >= this.env.UPLOADS_PER_ACCOUNT;
    if (!hasShare && this.isFull) this.makeRoomFor(userId);
    if (!hasShare && !this.isFull) return this.take(userId);
    if (this.waiting.size >= this.env.UPLOADS_AT_ONCE) throw this.refusal(userId);
    return this.wait(raw, userId);
  }

  private async wait(raw: FastifyRequest['raw'], userId: string): Promise<Place> {
    const waiting = { userId, turn: Promise.withResolvers<Place>() };
    const giveUp = (problem: Problem): void => {
      if (this.waiting.delete(waiting)) waiting.turn.reject(problem);
    };
    const leave = (): void => {
      giveUp(brokenOff(raw.errored));
    };
    const timer = setTimeout(() => {
      giveUp(this.refusal(userId));
    }, WAIT_MS);
    this.waiting.add(waiting);
    raw.once('close', leave);
    if (raw.closed) leave();
    try {
      return await waiting.turn.promise;
    } finally {
      clearTimeout(timer);
      raw.off('close', leave);
    }
  }

  /** Gives places that became free to those that may have them. */
  private admit(): void {
    for (const waiting of this.waiting) {
      if (this.isFull) return;
      if (countOf(this.taken, waiting.userId) >= this.env.UPLOADS_PER_ACCOUNT) continue;
      this.waiting.delete(waiting);
      waiting.turn.resolve(this.take(waiting.userId));
    }
  }

  private take(userId: string): Place {
    const place = { userId, since: performance.now(), displaced: new AbortController() };
    this.taken.add(place);
    return place;
  }

  /** Ends an upload, if one may be ended for this account. Its work hears of it, and ends soon. */
  private makeRoomFor(userId: string): void {
    const places = this.placesOfLargest();
    const isFairer = places.length > countOf(this.taken, userId) + 1;
    const [oldest] = isFairer ? places : this.taken;
    if (!oldest || (!isFairer && performance.now() - oldest.since < OLD_MS)) return;
    this.taken.delete(oldest);
    oldest.displaced.abort(busy('The upload made room for those of others.'));
  }

  /** The places of the account that has most, oldest first. */
  private placesOfLargest(): Place[] {
    let largest: Place[] = [];
    for (const places of Map.groupBy(this.taken, ({ userId }) => userId).values()) {
      if (places.length > largest.length) largest = places;
    }
    return largest;
  }

  private get isFull(): boolean {
    return this.taken.size >= this.env.UPLOADS_AT_ONCE;
  }

  private refusal(userId: string): Problem {
    const { UPLOADS_PER_ACCOUNT: share } = this.env;
    if (countOf(this.taken, userId) < share) return busy('Too many uploads are under way.');
    return new Problem(tooManyUploads, `You have ${share} uploads under way.`, {
      headers: { 'retry-after': RETRY_AFTER_SECONDS },
    });
  }
}

function busy(detail: string): Problem {
  return new Problem(unavailable, detail, {
    headers: { 'retry-after': RETRY_AFTER_SECONDS, connection: 'close' },
  });
}

function countOf(all: Iterable<{ userId: string }>, userId: string): number {
  let count = 0;
  for (const each of all) if (each.userId === userId) count += 1;
  return count;
}
