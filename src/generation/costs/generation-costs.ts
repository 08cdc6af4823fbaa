import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { z } from 'zod';
import type { CostsQuery, costsSchema } from './generation-costs.schema.js';

/**
 * What generations come to, by day and model.
 *
 * @param isFailed which of them bring no picture, in SQL
 */
const sumsWhere = (isFailed: string) => `
  select (created_at at time zone 'utc')::date as day, model, driver,
         count(*) as generations,
         count(*) filter (where ${isFailed}) as failed,
         coalesce(sum(coins_charged / price_per_picture), 0) as pictures,
         coalesce(sum(coins_charged), 0) as coins_charged,
         sum(cost_micros) as cost_micros
  from generations`;

/** What pictures cost the operator, beside what their owners paid for them. */
@Injectable()
export class GenerationCosts {
  constructor(private readonly em: EntityManager) {}

  /** By day and model, of what was asked for within some days, both included. */
  async by({ from, to }: CostsQuery): Promise<z.output<typeof costsSchema>> {
    const items = await this.em.execute<z.output<typeof costsSchema>['items']>(
      `with sums as (
         ${sumsWhere(`status = 'FAILED'`)}
         where created_at >= ?::timestamp at time zone 'utc'
           and created_at < (?::timestamp + interval '1 day') at time zone 'utc'
         group by 1, 2, 3
         union all
         select day, model, driver, generations, failed, pictures, coins_charged, cost_micros
         from erased_generation_costs where day between ? and ?
       )
       select day::text as day, model, driver,
              sum(generations)::float8 as generations,
              sum(failed)::float8 as failed,
              sum(pictures)::float8 as pictures,
              sum(coins_charged)::float8 as "coinsCharged",
              sum(cost_micros)::float8 as "costMicros"
       from sums
       group by day, model, driver
       order by sums.day desc, model, driver`,
      [from, to, from, to],
    );
    return { items };
  }

  /**
   * Keeps what the generations of a user come to, before the transaction of `em` deletes them: what is
   * under way will bring nothing. Days are taken in order, so that no two erasures wait for each other.
   */
  async keep(em: EntityManager, userId: string): Promise<void> {
    await em.execute(
      `insert into erased_generation_costs as kept
         (day, model, driver, generations, failed, pictures, coins_charged, cost_micros)
       ${sumsWhere(`status <> 'COMPLETED'`)} where user_id = ? group by 1, 2, 3 order by 1, 2, 3
       on conflict (day, model, driver) do update
       set generations = kept.generations + excluded.generations,
           failed = kept.failed + excluded.failed,
           pictures = kept.pictures + excluded.pictures,
           coins_charged = kept.coins_charged + excluded.coins_charged,
           cost_micros = case when kept.cost_micros is null then excluded.cost_micros
                              else kept.cost_micros + coalesce(excluded.cost_micros, 0) end`,
      [userId],
    );
  }
}
