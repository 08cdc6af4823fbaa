import { PassThrough, pipeline, type Readable } from 'node:stream';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { Principal } from '../auth/access/principal.js';
import { Principals } from '../auth/access/principals.js';
import { RowChanges } from '../core/database/row-changes.js';
import { notFound, Problem } from '../core/problems/problem.js';
import { Shutdown } from '../core/process/shutdown.js';
import { isClientGone } from '../core/request-context.js';
import { tooManyStreams } from './generation.problems.js';
import { GenerationQueries } from './generation.queries.js';
import { isOver } from './generation.schema.js';

/** How many streams one user may have open in a process. */
const MOST_PER_USER = 10;
/** When a client comes again whose connection has ended, in milliseconds. */
const RETRY_MS = 2_000;
const RETRY_AFTER_SECONDS = '5';
const HEARTBEAT = ': still here\n\n';
const GONE = 'gone';

/** The times of a stream. */
export interface StreamTimes {
  /** How long nothing is said, at most, in seconds: proxies close what is silent. */
  readonly heartbeatSeconds: number;
  /** When it ends, in seconds: the client comes again, and is asked for a token that has not expired. */
  readonly endsAfterSeconds: number;
  /** How often to look without having heard of a change, in milliseconds: there may be many streams. */
  readonly pollMs: number;
}

/** Whose stream it is. */
type SignedIn = Pick<Principal, 'userId' | 'sessionId'>;

const TIMES: StreamTimes = { heartbeatSeconds: 15, endsAfterSeconds: 60, pollMs: 5_000 };

/**
 * Tells how a generation comes on, as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html), whichever process changes it.
 *
 * Each event is the whole of it as it is then, and has its revision as its id. So who comes again with
 * `Last-Event-ID` misses nothing that still holds. Who has signed out meanwhile, or whose account is
 * disabled, is told nothing more.
 */
@Injectable()
export class GenerationEvents {
  /** How many streams of each user are open. */
  private readonly open = new Map<string, number>();

  constructor(
    private readonly em: EntityManager,
    private readonly queries: GenerationQueries,
    private readonly principals: Principals,
    private readonly changes: RowChanges,
    private readonly shutdown: Shutdown,
  ) {}

  /**
   * @param lastSeen the revision that the client knows; 0 for none
   * @returns undefined when it is over and the client knows: nothing more will come
   * @throws Problem `not-found`, `too-many-streams`
   */
  async follow(
    principal: SignedIn,
    id: string,
    lastSeen: number,
    times = TIMES,
  ): Promise<Readable | undefined> {
    const { userId } = principal;
    const now = await this.queries.find(userId, id);
    if (!now) throw new Problem(notFound);
    // One that has not been yet is none of ours.
    const seen = lastSeen > now.revision ? 0 : lastSeen;
    if (isOver(now.shown) && seen === now.revision) return undefined;
    this.enter(userId);
    // It closes with its client, while what fills it may be waiting yet.
    const stream = new PassThrough().once('close', () => {
      this.leave(userId);
    });
    pipeline(this.tell(principal, id, seen, times), stream, () => undefined);
    return stream;
  }

  /** @throws Problem `too-many-streams` */
  private enter(userId: string): void {
    const open = this.open.get(userId) ?? 0;
    if (open >= MOST_PER_USER) {
      throw new Problem(tooManyStreams, undefined, {
        headers: { 'retry-after': RETRY_AFTER_SECONDS },
      });
    }
    this.open.set(userId, open + 1);
  }

  private leave(userId: string): void {
    const open = this.open.get(userId) ?? 0;
    if (open > 1) this.open.set(userId, open - 1);
    else this.open.delete(userId);
  }

  private async *tell(
    principal: SignedIn,
    id: string,
    lastSeen: number,
    { heartbeatSeconds, endsAfterSeconds, pollMs }: StreamTimes,
  ): AsyncGenerator<string> {
    const endsAt = performance.now() + endsAfterSeconds * 1_000;
    yield `retry: ${RETRY_MS}\n\n`;
    for (let seen = lastSeen; ;) {
      const leftSeconds = Math.max(0, (endsAt - performance.now()) / 1_000);
      const seconds = Math.min(heartbeatSeconds, leftSeconds);
      const change = await this.changes.waitFor(id, seconds, () => this.since(id, seen), pollMs);
      if (change === GONE || !(await this.principals.isSignedIn(principal))) return;
      if (change) {
        const found = await this.queries.find(principal.userId, id);
        // It was deleted just now, with the account.
        if (!found) return;
        yield `id: ${found.revision}\nevent: generation\ndata: ${JSON.stringify(found.shown)}\n\n`;
        if (isOver(found.shown)) return;
        seen = found.revision;
      } else {
        if (this.shutdown.begun || isClientGone() || performance.now() >= endsAt) return;
        yield HEARTBEAT;
      }
    }
  }

  private async since(id: string, seen: number): Promise<'changed' | typeof GONE | undefined> {
    const [row] = await this.em
      .fork()
      .execute<{ revision: number }[]>('select revision from generations where id = ?', [id]);
    if (!row) return GONE;
    return row.revision > seen ? 'changed' : undefined;
  }
}
