import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Principal } from '../auth/access/principal.js';
import { findPage } from '../core/database/entity-page.js';
import type { Page } from '../core/paging.js';
import { notFound, Problem } from '../core/problems/problem.js';
import { GenerationImage } from './generation-image.entity.js';
import { Generation } from './generation.entity.js';
import {
  type GenerationAnswer,
  type GenerationQuery,
  presentGeneration,
} from './generation.schema.js';

/** Shows generations to their owners. */
@Injectable()
export class GenerationQueries {
  constructor(private readonly em: EntityManager) {}

  /** @throws Problem `not-found`, also for what is somebody else's */
  async show({ userId }: Pick<Principal, 'userId'>, id: string): Promise<GenerationAnswer> {
    const found = await this.em.findOne(Generation, { id, userId }, { disableIdentityMap: true });
    if (!found) throw new Problem(notFound);
    const [answer] = await this.present([found]);
    if (!answer) throw new Problem(notFound);
    return answer;
  }

  /** A page of one's own, the newest first. */
  async list({ userId }: Principal, query: GenerationQuery): Promise<Page<GenerationAnswer>> {
    const { status, ...page } = query;
    const which = { userId, ...(status && { status }) };
    const found = await findPage(this.em, Generation, 'createdAt', which, page);
    return { ...found, items: await this.present(found.items) };
  }

  private async present(rows: Generation[]): Promise<GenerationAnswer[]> {
    const ids = rows.map(({ id }) => id);
    const links = await this.em.find(
      GenerationImage,
      { generation: { $in: ids } },
      { orderBy: { generation: 'asc', position: 'asc' }, disableIdentityMap: true },
    );
    const imageIds = Map.groupBy(links, ({ generation }) => generation);
    const positions = await this.positionsOf(rows.filter(({ status }) => status === 'PENDING'));
    return rows.map((row) =>
      presentGeneration(row, {
        imageIds: (imageIds.get(row.id) ?? []).map(({ imageId }) => imageId),
        position: positions.get(row.id) ?? null,
      }),
    );
  }

  /**
   * Where in the line those stand that wait: before them come all that are handed over already, and
   * those whose turn among their owner's comes earlier, or at the same time and are older.
   */
  private async positionsOf(waiting: Generation[]): Promise<Map<string, number>> {
    if (waiting.length === 0) return new Map();
    const rows = await this.em.execute<{ id: string; position: number }[]>(
      `with line as (
         select id, row_number() over (
           order by queued_at is null, turn, next_attempt_at, id
         )::int as position
         from (
           select id, queued_at, next_attempt_at, row_number() over (
             partition by user_id order by next_attempt_at, id
           ) as turn
           from generations where status = 'PENDING' and next_attempt_at is not null
         ) as waiting
       )
       select id, position from line where id = any (?::uuid[])`,
      [`{${waiting.map(({ id }) => id).join()}}`],
    );
    return new Map(rows.map(({ id, position }) => [id, position]));
  }
}
