import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';

/** How often something has happened in the window that runs. */
export interface Tally {
  readonly count: number;
  /** Until the window ends. */
  readonly resetsInSeconds: number;
}

/** Counts what happens in windows of time, exactly, for all replicas together. */
export abstract class Counters {
  /**
   * Counts one more; the first of a window begins it.
   *
   * @param key what is counted, and of whom: at most 200 characters, nothing secret
   */
  abstract hit(key: string, windowSeconds: number): Promise<Tally>;

  /** What has been counted so far; nothing is counted by asking. */
  abstract look(key: string): Promise<Tally>;

  /** Begins anew. */
  abstract reset(key: string): Promise<void>;
}

/** In PostgreSQL, by its clock: one statement for each hit, so that no two see the same count. */
@Injectable()
export class PostgresCounters extends Counters {
  constructor(private readonly em: EntityManager) {
    super();
  }

  override async hit(key: string, windowSeconds: number): Promise<Tally> {
    const [tally] = await this.em.fork().execute<Tally[]>(
      `insert into counters as held (key, count, resets_at)
       values (?, 1, now() + make_interval(secs => ?))
       on conflict (key) do update set
         count = case when held.resets_at <= now() then 1 else held.count + 1 end,
         resets_at = case when held.resets_at <= now() then excluded.resets_at else held.resets_at end
       returning ${TALLY}`,
      [key, windowSeconds],
    );
    return tally ?? NOTHING;
  }

  override async look(key: string): Promise<Tally> {
    const [tally] = await this.em
      .fork()
      .execute<Tally[]>(`select ${TALLY} from counters where key = ? and resets_at > now()`, [key]);
    return tally ?? NOTHING;
  }

  override async reset(key: string): Promise<void> {
    await this.em.fork().execute('delete from counters where key = ?', [key]);
  }
}

const NOTHING: Tally = { count: 0, resetsInSeconds: 0 };
const TALLY = `count, extract(epoch from resets_at - now())::float8 as "resetsInSeconds"`;
