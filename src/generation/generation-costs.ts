import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { z } from 'zod';
import type { CostsQuery, costsSchema } from './generation-costs.schema.js';

/** What pictures cost the operator, beside what their owners paid for them. */
@Injectable()
export class GenerationCosts {
  constructor(private readonly em: EntityManager) {}

  /** By day and model, of what was asked for within some days, both included. */
  async by({ from, to }: CostsQuery): Promise<z.output<typeof costsSchema>> {
    const items = await this.em.execute<z.output<typeof costsSchema>['items']>(
      `select to_char(created_at at time zone 'utc', 'YYYY-MM-DD') as day, model, driver,
              count(*)::int as generations,
              (count(*) filter (where status = 'FAILED'))::int as failed,
              coalesce(sum(coins_charged / price_per_picture), 0)::int as pictures,
              coalesce(sum(coins_charged), 0)::float8 as "coinsCharged",
              sum(cost_micros)::float8 as "costMicros"
       from generations
       where created_at >= ?::timestamp at time zone 'utc'
         and created_at < (?::timestamp + interval '1 day') at time zone 'utc'
       group by day, model, driver
       order by day desc, model, driver`,
      [from, to],
    );
    return { items };
  }
}
