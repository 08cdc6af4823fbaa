import { type CompiledQuery, sql } from 'kysely';
import { cutPage, decodeCursor, type Page } from '../core/paging.js';
import { likePattern } from '../core/database/like-pattern.js';
import { prepare, runPrepared, type ValueOf } from '../core/database/prepared.js';
import type { ReadServer } from '../core/database/read-database.js';
import { sortingOf } from './image-order.js';
import type { ImageStatus, ImageType } from './image.entity.js';
import {
  type ImageDatabase,
  type ImageRow,
  type ImageTables,
  selectImages,
} from './image.queries.js';
import type { ImageOrder, ListQuery } from './image.schema.js';

/** What a list is limited to: a value that is absent limits nothing. */
interface FilterValues {
  userId: string;
  type: ImageType | undefined;
  status: ImageStatus | undefined;
  pattern: string | undefined;
}

interface ListValues extends FilterValues {
  /** One more than the page has. */
  rows: number;
  offset: number | undefined;
  /** Behind which row the page begins. */
  afterValue: string | undefined;
  afterId: string | undefined;
}

/** A row of a list, with what the list is sorted by. */
type ListRow = ImageRow & { sortValue: string };

type ListStatement = (values: ListValues) => CompiledQuery<ListRow>;

/** By the shape of the list: a few for each order, whatever the values and the server. */
const statements = new Map<string, ListStatement>();

/** A page of the images of one user. */
export async function listImages(
  { database, pool }: ReadServer<ImageTables>,
  userId: string,
  { limit, cursor, offset, total, sort, linked, type, status, text }: ListQuery,
): Promise<Page<ImageRow>> {
  const after =
    cursor === undefined ? undefined : decodeCursor(cursor, sort, sortingOf(sort).cast.schema);
  const pattern = text === undefined ? undefined : likePattern(text);
  const filter = { userId, type, status, pattern };
  const values = {
    ...filter,
    ...{ rows: limit + 1, offset, afterValue: after?.value, afterId: after?.id },
  };
  const count = total ? await countImages(database, filter, linked) : undefined;
  const statement = statementFor(database, values, sort, linked);
  const rows = await runPrepared(pool, statement(values));
  return cutPage(rows, { limit, order: sort, total: count });
}

/** @param values tell by what is absent from them what the statement need not say */
function statementFor(
  database: ImageDatabase,
  values: ListValues,
  sort: ImageOrder,
  linked: boolean | undefined,
): ListStatement {
  const { type, status, pattern, offset, afterId } = values;
  const filters = `${type !== undefined} ${status !== undefined} ${pattern !== undefined} ${linked}`;
  const shape = `${sort} ${filters} ${offset !== undefined} ${afterId !== undefined}`;
  const known = statements.get(shape);
  if (known) return known;
  const statement = buildStatement(database, values, sort, linked);
  statements.set(shape, statement);
  return statement;
}

function buildStatement(
  database: ImageDatabase,
  values: ListValues,
  sort: ImageOrder,
  linked: boolean | undefined,
): ListStatement {
  return prepare<ListValues, ListRow>((valueOf) => {
    const { expression, cast, direction, value } = sortingOf(sort);
    let rows = selectImages(database)
      .select(sql<string>`${value}`.as('sortValue'))
      .where(matching(values, linked, valueOf))
      .orderBy(expression, direction)
      .orderBy('images.id', direction)
      .limit(valueOf('rows'));
    if (values.offset !== undefined) rows = rows.offset(sql<number>`${valueOf('offset')}`);
    if (values.afterId !== undefined) {
      const beyond = sql.raw(direction === 'desc' ? '<' : '>');
      rows = rows.where(
        sql<boolean>`(${expression}, images.id) ${beyond}
          (${valueOf('afterValue')}::${sql.raw(cast.type)}, ${valueOf('afterId')}::uuid)`,
      );
    }
    return rows;
  });
}

async function countImages(
  database: ImageDatabase,
  filter: FilterValues,
  linked: boolean | undefined,
): Promise<number> {
  const { count } = await database
    .selectFrom('images')
    .select(sql<string>`count(*)`.as('count'))
    .where(matching(filter, linked, (name) => sql.val(filter[name])))
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** What limits a list, with the values where `valueOf` puts them. */
function matching(
  { type, status, pattern }: FilterValues,
  linked: boolean | undefined,
  valueOf: ValueOf<FilterValues>,
) {
  const conditions = [sql<boolean>`images.user_id = ${valueOf('userId')}`];
  if (type) conditions.push(sql`images.type = ${valueOf('type')}`);
  if (status) conditions.push(sql`images.status = ${valueOf('status')}`);
  if (pattern !== undefined) {
    conditions.push(
      sql`concat_ws(' ', images.title, images.description, images.prompt) ilike ${valueOf('pattern')}`,
    );
  }
  if (linked !== undefined) {
    const isLinked = sql`exists (select from image_links where image_id = images.id)`;
    conditions.push(linked ? sql`${isLinked}` : sql`not ${isLinked}`);
  }
  return sql<boolean>`${sql.join(conditions, sql` and `)}`;
}
