import { Injectable } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Principal } from '../auth/access/principal.js';
import { findPage } from '../core/database/entity-page.js';
import type { Page } from '../core/paging.js';
import { idBehind } from '../core/personal-data/pages.js';
import { notFound, Problem } from '../core/problems/problem.js';
import { GenerationImage } from './generation-image.entity.js';
import { GenerationLine } from './generation-line.js';
import { Generation } from './generation.entity.js';
import {
  type GenerationAnswer,
  type GenerationQuery,
  presentGeneration,
} from './generation.schema.js';

/** Shows generations to their owners. */
@Injectable()
export class GenerationQueries {
  constructor(
    private readonly em: EntityManager,
    private readonly line: GenerationLine,
  ) {}

  /** @throws Problem `not-found`, also for what is somebody else's */
  async show({ userId }: Pick<Principal, 'userId'>, id: string): Promise<GenerationAnswer> {
    const found = await this.find(userId, id);
    if (!found) throw new Problem(notFound);
    return found.shown;
  }

  /** With how often it has changed; undefined where {@link show} throws. */
  async find(
    userId: string,
    id: string,
  ): Promise<{ shown: GenerationAnswer; revision: number } | undefined> {
    const row = await this.em.findOne(Generation, { id, userId }, { disableIdentityMap: true });
    if (!row) return undefined;
    const [shown] = await this.present([row]);
    return shown && { shown, revision: row.revision };
  }

  /** A page of one's own, the newest first. */
  async list({ userId }: Principal, query: GenerationQuery): Promise<Page<GenerationAnswer>> {
    const { status, ...page } = query;
    const which = { userId, ...(status && { status }) };
    const found = await findPage(this.em, Generation, 'createdAt', which, page);
    return { ...found, items: await this.present(found.items) };
  }

  /** Those of a user that follow another, or the first ones: the oldest first. */
  async listBehind(
    userId: string,
    last: { id: string } | undefined,
    limit: number,
  ): Promise<GenerationAnswer[]> {
    const rows = await this.em.find(
      Generation,
      { userId, ...idBehind(last) },
      { orderBy: { id: 'asc' }, limit, disableIdentityMap: true },
    );
    return this.present(rows);
  }

  private async present(rows: Generation[]): Promise<GenerationAnswer[]> {
    const ids = rows.map(({ id }) => id);
    const links = await this.em.find(
      GenerationImage,
      { generation: { $in: ids } },
      { orderBy: { generation: 'asc', position: 'asc' }, disableIdentityMap: true },
    );
    const imageIds = Map.groupBy(links, ({ generation }) => generation);
    const waiting = rows.filter(({ status }) => status === 'PENDING');
    const places = await this.line.placesOf(waiting.map(({ id }) => id));
    return rows.map((row) =>
      presentGeneration(row, {
        imageIds: (imageIds.get(row.id) ?? []).map(({ imageId }) => imageId),
        position: places.get(row.id) ?? null,
      }),
    );
  }
}
