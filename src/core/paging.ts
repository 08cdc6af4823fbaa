import { z } from 'zod';
import { flag } from './flag.js';
import { Problem, validationFailed } from './problems/problem.js';

/**
 * Lists are paged by keyset (`cursor`), which stays right while rows come and go, and also by
 * `offset`, as the first clients do it.
 */

/** The most items on one page. */
const MAX_PAGE_SIZE = 100;
const DEFAULT_PAGE_SIZE = 20;

const pageParameters = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_PAGE_SIZE)
    .default(DEFAULT_PAGE_SIZE)
    .describe('How many items to answer, at most 100.'),
  cursor: z
    .string()
    .max(2_000)
    .optional()
    .describe('`nextCursor` of the page before; not together with `offset`.'),
  offset: z.coerce
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('How many items to skip. Prefer `cursor`: it stays fast and misses nothing.'),
  total: flag().default(false).describe('Whether to count all items that match; costs a query.'),
} as const;

/** Which page of a list is asked for. */
export type PageParameters = z.output<z.ZodObject<typeof pageParameters>>;

/** The query of a list: where the page begins and how long it is, and the list's own filters. */
export function pageQuery<T extends z.ZodRawShape>(filters: T) {
  return z.strictObject({ ...pageParameters, ...filters }).refine((query) => !isPagedTwice(query), {
    path: ['offset'],
    error: 'does not go together with cursor',
  });
}

function isPagedTwice(query: object): boolean {
  const { cursor, offset } = query as { cursor?: unknown; offset?: unknown };
  return cursor !== undefined && offset !== undefined;
}

/** A page of items as it is answered. */
export interface Page<T> {
  items: T[];
  /** Pass it as `cursor` for the next page; null on the last one. */
  nextCursor: string | null;
  /** How many items match in all, when asked for. */
  total?: number;
}

/** The schema of a page of items. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable(),
    total: z.int().min(0).optional(),
  });
}

/** Where a page ends: in which order, and the last row's value in it, with its id for ties. */
export interface PagePosition {
  /** The name of the list's order, so that a cursor of another order is refused. */
  order: string;
  /** As PostgreSQL writes it. */
  value: string;
  id: string;
}

/** What a row of a list must have for paging. */
export interface PagedRow {
  id: string;
  /** What the list is sorted by. */
  sortValue: string;
}

/** The opaque cursor of a position. */
export function encodeCursor({ order, value, id }: PagePosition): string {
  return Buffer.from(JSON.stringify([order, value, id])).toString('base64url');
}

/**
 * The position behind a cursor.
 *
 * @param order the order that the list is in now
 * @param valueSchema what a value of that order may be; it goes into a query
 * @throws Problem `validation-failed` when the cursor was not made by {@link encodeCursor} for it
 */
export function decodeCursor(
  cursor: string,
  order: string,
  valueSchema: z.ZodType<string>,
): PagePosition {
  const parsed = z
    .tuple([z.literal(order), valueSchema, z.uuid()])
    .safeParse(parseJson(Buffer.from(cursor, 'base64url').toString()));
  if (!parsed.success) {
    throw new Problem(validationFailed, 'The cursor is not one that this list answered.', {
      errors: [{ path: 'query.cursor', message: 'is not a cursor of this list in this order' }],
    });
  }
  const [, value, id] = parsed.data;
  return { order, value, id };
}

/** Times that PostgreSQL and ISO 8601 agree on, to the millisecond. */
export const timeValue: z.ZodType<string> = z.iso.datetime({ precision: 3 }).refine(
  // Years before 1 and after 9999 are written differently.
  (value) => value >= '0001-01-01' && Number.isFinite(Date.parse(value)),
);

/** A time that limits a list: ISO 8601 with any offset from UTC, passed on as PostgreSQL takes it. */
export const timeBound = z.iso
  .datetime({ offset: true })
  .max(40)
  .transform((value) => new Date(value).toISOString())
  // Years of more or fewer digits begin with a sign.
  .refine((value) => value >= '0001', 'must lie in the years 1 to 9999');

/**
 * Cuts a page out of rows that were read with `limit + 1`.
 *
 * @param rows in list order, at most one more than the limit
 */
export function cutPage<Row extends PagedRow>(
  rows: Row[],
  { limit, order, total }: { limit: number; order: string; total: number | undefined },
): Page<Row> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const hasMore = rows.length > limit && last !== undefined;
  return {
    items,
    nextCursor: hasMore ? encodeCursor({ order, value: last.sortValue, id: last.id }) : null,
    ...(total !== undefined && { total }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
