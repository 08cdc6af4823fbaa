import { Readable } from 'node:stream';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { Principal } from '../auth/access/principal.js';
import { RowChanges } from '../core/database/row-changes.js';
import { Shutdown } from '../core/process/shutdown.js';
import { isClientGone } from '../core/request-context.js';
import { GenerationQueries } from './generation.queries.js';
import { isOver } from './generation.schema.js';

/** How long nothing is said, at most, in seconds: proxies close what is silent. */
const HEARTBEAT_SECONDS = 15;
const HEARTBEAT = ': still here\n\n';
/** When a client comes again whose connection broke, in milliseconds. */
const RETRY_MS = 2_000;

/** What has become of a generation since. */
interface Revision {
  revision: number;
  isOver: boolean;
}

/**
 * Tells how a generation comes on, as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html), whichever process changes it.
 *
 * Each event is the whole of it as it is then, and has its revision as its id. So who comes again with
 * `Last-Event-ID` misses nothing that still holds.
 */
@Injectable()
export class GenerationEvents {
  constructor(
    private readonly em: EntityManager,
    private readonly queries: GenerationQueries,
    private readonly changes: RowChanges,
    private readonly shutdown: Shutdown,
  ) {}

  /**
   * @param lastSeen the revision that the client knows; 0 for none
   * @returns undefined when it is over and the client knows: nothing more will come
   * @throws Problem `not-found`
   */
  async open(user: Principal, id: string, lastSeen: number): Promise<Readable | undefined> {
    const now = await this.queries.show(user, id);
    const { revision } = (await this.revisionOf(id)) ?? { revision: 0 };
    // One that has not been yet is none of ours.
    const seen = lastSeen > revision ? 0 : lastSeen;
    if (isOver(now) && seen === revision) return undefined;
    return Readable.from(this.tell(user, id, seen), { objectMode: false });
  }

  private async *tell(user: Principal, id: string, lastSeen: number): AsyncGenerator<string> {
    yield `retry: ${RETRY_MS}\n\n`;
    for (let seen = lastSeen; ;) {
      const found = await this.changes.waitFor(id, HEARTBEAT_SECONDS, () => this.since(id, seen));
      // It was deleted with the account.
      if (found === 'gone') return;
      if (found) {
        const shown = await this.queries.show(user, id);
        yield `id: ${found.revision}\nevent: generation\ndata: ${JSON.stringify(shown)}\n\n`;
        if (found.isOver) return;
        seen = found.revision;
      } else {
        if (this.shutdown.begun || isClientGone()) return;
        yield HEARTBEAT;
      }
    }
  }

  private async since(id: string, seen: number): Promise<Revision | 'gone' | undefined> {
    const found = await this.revisionOf(id);
    if (!found) return 'gone';
    return found.revision > seen ? found : undefined;
  }

  private async revisionOf(id: string): Promise<Revision | undefined> {
    const [row] = await this.em.execute<Revision[]>(
      `select revision, next_attempt_at is null as "isOver" from generations where id = ?`,
      [id],
    );
    return row;
  }
}
