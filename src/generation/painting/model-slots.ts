import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';

const MINUTE_MS = 60_000;

/** Slots that were given out, one after the other. */
export interface Slots {
  /** When the first comes, in milliseconds from now. */
  readonly waitMs: number;
  /** From each to the next, in milliseconds. */
  readonly spacingMs: number;
}

/**
 * When a model may be asked, by all workers together: `GENERATION_RATE_PER_MINUTE` times in a minute. Each
 * picture has a slot of its own, spread evenly over the minute, so that no minute has more of them; they
 * are given out in the order in which they are asked for, by one row in the database.
 */
@Injectable()
export class ModelSlots {
  constructor(
    private readonly em: EntityManager,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** Takes the next slots of a model, for so many pictures. Slots that are not used are lost. */
  async take(model: string, pictures: number): Promise<Slots> {
    const rate = this.env.GENERATION_RATE_PER_MINUTE;
    if (rate === undefined) return { waitMs: 0, spacingMs: 0 };
    const spacingMs = MINUTE_MS / rate;
    const takenMs = pictures * spacingMs;
    const [row] = await this.em.fork().execute<{ waitMs: number }[]>(
      `insert into model_slots as slot (model, next_at)
       values (?, now() + make_interval(secs => ?))
       on conflict (model) do update
       set next_at = greatest(slot.next_at, now()) + make_interval(secs => ?)
       returning (extract(epoch from next_at - now()) * 1000)::float8 as "waitMs"`,
      [model, takenMs / 1_000, takenMs / 1_000],
    );
    return { waitMs: Math.max(0, (row?.waitMs ?? takenMs) - takenMs), spacingMs };
  }
}
