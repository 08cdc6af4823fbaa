import type { EntityName, FilterQuery, FindOptions } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { cutPage, decodeCursor, type Page, type PageParameters, timeValue } from '../paging.js';

type Timed<Time extends string> = { id: string } & Record<Time, Date>;
type OrderOf<Entity> = FindOptions<Entity>['orderBy'];

/**
 * Reads a page of entities, sorted by one of their times, the newest first, and where that is equal
 * by id. For lists that are queries of their own, on replicas, there is `newestFirst`.
 *
 * @param which those that the list is of
 * @throws Problem `validation-failed` when the cursor is not one of such a list
 */
export async function findPage<Time extends string, Entity extends Timed<Time>>(
  em: EntityManager,
  entity: EntityName<Entity>,
  time: Time,
  which: FilterQuery<Entity>,
  { limit, cursor, offset, total }: PageParameters,
): Promise<Page<Entity>> {
  const after = cursor === undefined ? {} : behind(cursor, time);
  const found = await em.find(entity, { $and: [which, after] } as FilterQuery<Entity>, {
    orderBy: { [time]: 'desc', id: 'desc' } as OrderOf<Entity>,
    limit: limit + 1,
    ...(offset !== undefined && { offset }),
  });
  const rows = found.map((item) => ({ item, id: item.id, sortValue: item[time].toISOString() }));
  const count = total ? await em.count(entity, which) : undefined;
  const page = cutPage(rows, { limit, order: time, total: count });
  return { ...page, items: page.items.map(({ item }) => item) };
}

function behind(cursor: string, time: string) {
  const { value, id } = decodeCursor(cursor, time, timeValue);
  const at = new Date(value);
  return { $or: [{ [time]: { $lt: at } }, { [time]: at, id: { $lt: id } }] };
}
