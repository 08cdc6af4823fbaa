import { type RawBuilder, sql } from 'kysely';
import {
  cutPage,
  decodeCursor,
  type Page,
  type PagedRow,
  type PageParameters,
  timeValue,
} from '../paging.js';
import { isoTime } from './iso-time.js';

/** The name of the order, by which a cursor is known to be of such a list. */
const NEWEST_FIRST = 'newest-first';

/** The parts by which a query reads one page. */
interface NewestFirst {
  /** What rows are to be called `sortValue`. */
  readonly sortValue: RawBuilder<string>;
  /** A condition: behind the page before. */
  readonly isBehind: RawBuilder<boolean>;
  /** The end of the query; reads one row more than the page has. */
  readonly page: RawBuilder<unknown>;
}

/**
 * Sorts a list by a time, the newest first, and where that is equal by id. For pages of entities there
 * is `findPage`.
 *
 * @param columns of the time and the id, as the query calls them
 * @throws Problem `validation-failed` when the cursor is not one of such a list
 */
export function newestFirst(
  columns: { time: string; id: string },
  { limit, cursor, offset }: PageParameters,
): NewestFirst {
  const time = sql.ref(columns.time);
  const id = sql.ref(columns.id);
  const after = cursor === undefined ? undefined : decodeCursor(cursor, NEWEST_FIRST, timeValue);
  return {
    sortValue: isoTime(columns.time),
    isBehind: after
      ? sql`(${time}, ${id}) < (${after.value}::timestamptz, ${after.id}::uuid)`
      : sql`true`,
    page: sql`order by ${time} desc, ${id} desc limit ${limit + 1} offset ${offset ?? 0}`,
  };
}

/** The page that was read so, without what only its cursor needs. */
export function cutNewestFirst<Row extends PagedRow>(
  rows: Row[],
  { limit }: PageParameters,
  total: number | undefined,
): Page<Omit<Row, 'sortValue'>> {
  const page = cutPage(rows, { limit, order: NEWEST_FIRST, total });
  return { ...page, items: page.items.map(({ sortValue: _, ...row }) => row) };
}
