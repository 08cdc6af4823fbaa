import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ENV, type Env } from '../../core/env.js';
import { Problem, unavailable } from '../../core/problems/problem.js';
import { tooManyUploads } from '../images.problems.js';
import { ByAccount } from './by-account.js';
import { brokenOff } from './incoming-file.js';
import { discardBody, type UploadTurn } from './upload-form.js';

/** How long an upload waits for a place, in milliseconds. Nothing of its body is read meanwhile. */
const WAIT_MS = 20_000;
/** How many uploads may wait for each place. One that waits is a connection and little more. */
const WAITING_PER_PLACE = 4;
/** How often one that waits asks again whether another has to make room for it, in milliseconds. */
const ASK_AGAIN_MS = 1_000;
/** From what age on an upload makes room, when nobody has more places than others, in milliseconds. */
const OLD_MS = 60_000;
/** The same for those that are slower than {@link SLOW_BYTES_PER_SECOND}. */
const OLD_WHEN_SLOW_MS = 10_000;
const SLOW_BYTES_PER_SECOND = 32 * 1024;
const RETRY_AFTER_SECONDS = '5';

/** What an upload has while its body is read. */
interface Place {
  userId: string;
  raw: FastifyRequest['raw'];
  since: number;
  /** What its connection had brought by then, in bytes. */
  bytesBefore: number;
  displaced: AbortController;
}

interface Waiting {
  userId: string;
  raw: FastifyRequest['raw'];
  turn: PromiseWithResolvers<Place>;
}

/**
 * Bounds how many uploads one process takes in at once: each holds a connection, buffers and a file
 * for as long as its client likes, within the limits of time.
 *
 * No account has more than its share. When all places are taken, whoever comes from an account with
 * fewer gets the oldest place of the account with most, and when none has more, that of the slowest,
 * once it has had some time; so those who hold places, also with many accounts, keep nobody out. Who
 * waits yields by the same rule: the newest of the account with most to an account with fewer.
 */
@Injectable()
export class UploadPlaces {
  private readonly taken = new ByAccount<Place>();
  private readonly waiting = new ByAccount<Waiting>();

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
      this.admitNext();
    }
  }

  private async enter(raw: FastifyRequest['raw'], userId: string): Promise<Place> {
    const place = this.takeIfAllowed(raw, userId);
    if (place) return place;
    if (this.waiting.size >= WAITING_PER_PLACE * this.env.UPLOADS_AT_ONCE) {
      this.shortenQueue(userId);
    }
    return this.wait(raw, userId);
  }

  private async wait(raw: FastifyRequest['raw'], userId: string): Promise<Place> {
    const waiting = { userId, raw, turn: Promise.withResolvers<Place>() };
    const leave = (): void => {
      this.refuse(waiting, brokenOff(raw.errored));
    };
    const timer = setTimeout(() => {
      this.refuse(waiting, this.refusal(userId));
    }, WAIT_MS);
    const asking = setInterval(() => {
      const place = this.takeIfAllowed(raw, userId);
      if (place) this.admit(waiting, place);
    }, ASK_AGAIN_MS);
    this.waiting.add(waiting);
    raw.once('close', leave);
    if (raw.closed) leave();
    try {
      return await waiting.turn.promise;
    } finally {
      clearTimeout(timer);
      clearInterval(asking);
      raw.off('close', leave);
    }
  }

  private refuse(waiting: Waiting, problem: Problem): void {
    if (this.waiting.delete(waiting)) waiting.turn.reject(problem);
  }

  private admit(waiting: Waiting, place: Place): void {
    this.waiting.delete(waiting);
    waiting.turn.resolve(place);
  }

  /** Gives places that became free to those that may have them. */
  private admitNext(): void {
    for (const waiting of this.waiting) {
      if (this.isFull) return;
      if (this.hasShare(waiting.userId)) continue;
      this.admit(waiting, this.take(waiting.raw, waiting.userId));
    }
  }

  private takeIfAllowed(raw: FastifyRequest['raw'], userId: string): Place | undefined {
    if (this.hasShare(userId)) return undefined;
    if (this.isFull) this.makeRoomFor(userId);
    return this.isFull ? undefined : this.take(raw, userId);
  }

  private take(raw: FastifyRequest['raw'], userId: string): Place {
    const place = {
      userId,
      raw,
      since: performance.now(),
      bytesBefore: raw.socket.bytesRead,
      displaced: new AbortController(),
    };
    this.taken.add(place);
    return place;
  }

  /** Ends an upload, if one may be ended for this account. Its work hears of it, and ends soon. */
  private makeRoomFor(userId: string): void {
    const places = this.taken.ofLargest();
    const isFairer = places.length > this.taken.countOf(userId) + 1;
    const place = isFairer ? places[0] : this.slowest();
    if (!place) return;
    this.taken.delete(place);
    place.displaced.abort(busy('The upload made room for those of others.'));
  }

  /** The slowest of those that have had their time, and have not sent all. */
  private slowest(): Place | undefined {
    const now = performance.now();
    return [...this.taken]
      .filter(({ raw }) => !raw.readableEnded)
      .map((place) => ({ place, ageMs: now - place.since, pace: paceOf(place, now) }))
      .filter(({ ageMs, pace }) => ageMs >= timeFor(pace))
      .toSorted((one, other) => one.pace - other.pace)[0]?.place;
  }

  /**
   * Ends a wait for the sake of an account that has fewer.
   *
   * @throws Problem when none has more
   */
  private shortenQueue(userId: string): void {
    const waits = this.waiting.ofLargest();
    const isFairer = waits.length > this.waiting.countOf(userId) + 1;
    const newest = waits.at(-1);
    if (!isFairer || !newest) throw this.refusal(userId);
    this.refuse(newest, this.refusal(newest.userId));
  }

  private hasShare(userId: string): boolean {
    return this.taken.countOf(userId) >= this.env.UPLOADS_PER_ACCOUNT;
  }

  private get isFull(): boolean {
    return this.taken.size >= this.env.UPLOADS_AT_ONCE;
  }

  private refusal(userId: string): Problem {
    if (!this.hasShare(userId)) return busy('Too many uploads are under way.');
    const { UPLOADS_PER_ACCOUNT: share } = this.env;
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

/** In bytes a second. */
function paceOf({ raw, since, bytesBefore }: Place, now: number): number {
  return ((raw.socket.bytesRead - bytesBefore) * 1_000) / (now - since);
}

/** How long an upload of that pace is left alone, in milliseconds. */
function timeFor(pace: number): number {
  return pace < SLOW_BYTES_PER_SECOND ? OLD_WHEN_SLOW_MS : OLD_MS;
}
