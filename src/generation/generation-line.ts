import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { SharedAnswer } from '../core/shared-answer.js';

/** How long the line serves as it was, in milliseconds. */
const FRESH_MS = 1_000;

/** One that is not over. */
interface Unfinished {
  id: string;
  userId: string;
  /** Whether no worker has begun with it. */
  isWaiting: boolean;
  isHandedOver: boolean;
  /** How many of its owner's are at work or come before it, and one. */
  turn: number;
}

/**
 * The line of those that no worker has begun with. First come those that are handed over to one. Then
 * owners take turns, as the dispatcher has it: all their first ones come before anybody's second, and
 * what is at work counts as well.
 */
class Line {
  private readonly places = new Map<string, number>();
  /** How many of each owner's are not over. */
  private readonly ofOwner = new Map<string, number>();
  /** How many wait until a turn is over, by its number; at 0, those that are handed over. */
  private readonly upToTurn = [0];

  /** @param unfinished all that are not over, in the order of the line */
  constructor(unfinished: Iterable<Unfinished>) {
    for (const { id, userId, isWaiting, isHandedOver, turn } of unfinished) {
      this.ofOwner.set(userId, (this.ofOwner.get(userId) ?? 0) + 1);
      if (!isWaiting) continue;
      const place = this.places.size + 1;
      this.places.set(id, place);
      const last = isHandedOver ? 0 : turn;
      while (this.upToTurn.length <= last) this.upToTurn.push(place - 1);
      this.upToTurn[last] = place;
    }
  }

  /** From 1; undefined of one that does not wait, or did not yet. */
  placeOf(id: string): number | undefined {
    return this.places.get(id);
  }

  /** That of one more of an owner's: behind all whose turn is not after its own. */
  placeOfNew(userId: string): number {
    const turn = (this.ofOwner.get(userId) ?? 0) + 1;
    return (this.upToTurn[turn] ?? this.places.size) + 1;
  }
}

/**
 * Tells where in the line generations stand. The whole of it is worked out once for all who ask, and
 * about once a second at the most: it takes as long as there are rows that wait.
 */
@Injectable()
export class GenerationLine {
  private readonly line = new SharedAnswer(() => this.read(), FRESH_MS);

  constructor(private readonly em: EntityManager) {}

  /**
   * The places of those that wait; the next to begin has 1. It has none for what has begun meanwhile.
   *
   * @param ids of generations that have been committed
   */
  async placesOf(ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (ids.length === 0) return new Map();
    const known = await this.line.get();
    const isKnown = ids.every((id) => known.placeOf(id) !== undefined);
    const line = isKnown ? known : await this.line.getNew();
    return new Map(
      ids.flatMap((id) => {
        const place = line.placeOf(id);
        return place === undefined ? [] : [[id, place]];
      }),
    );
  }

  /** The place of one that is about to be asked for. */
  async placeOfNew(userId: string): Promise<number> {
    return (await this.line.get()).placeOfNew(userId);
  }

  private async read(): Promise<Line> {
    const unfinished = await this.em.fork().execute<Unfinished[]>(
      `select id, user_id as "userId", status = 'PENDING' as "isWaiting",
              queued_at is not null as "isHandedOver", turn::int as turn
       from (
         select id, user_id, status, queued_at, next_attempt_at, row_number() over (
           partition by user_id
           order by queued_at is null and coalesce(leased_until <= now(), true), next_attempt_at, id
         ) as turn
         from generations where next_attempt_at is not null
       ) as unfinished
       order by queued_at, turn, next_attempt_at, id`,
    );
    return new Line(unfinished);
  }
}
