import { z } from 'zod';
import { Problem, validationFailed } from './problem.js';

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
    .max(200)
    .optional()
    .describe('`nextCursor` of the page before; not together with `offset`.'),
  offset: z.coerce
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('How many items to skip. Prefer `cursor`: it stays fast and misses nothing.'),
  total: z
    .stringbool()
    .default(false)
    .describe('Whether to count all items that match; costs a query.'),
} as const;

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
    total: z.int().optional(),
  });
}

/** Where a page ends: its last row's sort time and id. */
export interface PagePosition {
  /** ISO 8601 in UTC. */
  createdAt: string;
  id: string;
}

/** The last millisecond of the year 9999: PostgreSQL and ISO 8601 agree up to there. */
const LAST_MS = 253_402_300_799_999;
const positionSchema = z.tuple([z.int().min(0).max(LAST_MS), z.uuid()]);

/** The opaque cursor of a position. */
export function encodeCursor({ createdAt, id }: PagePosition): string {
  return Buffer.from(JSON.stringify([Date.parse(createdAt), id])).toString('base64url');
}

/**
 * The position behind a cursor.
 *
 * @throws Problem `validation-failed` when the cursor was not made by {@link encodeCursor}
 */
export function decodeCursor(cursor: string): PagePosition {
  const parsed = positionSchema.safeParse(parseJson(Buffer.from(cursor, 'base64url').toString()));
  if (!parsed.success) {
    throw new Problem(validationFailed, 'The cursor is not one that this list answered.', {
      errors: [{ path: 'query.cursor', message: 'is not a cursor of this list' }],
    });
  }
  const [createdMs, id] = parsed.data;
  return { createdAt: new Date(createdMs).toISOString(), id };
}

/**
 * Cuts a page out of rows that were read with `limit + 1`.
 *
 * @param rows in list order, at most one more than the limit
 */
export function cutPage<Row extends PagePosition, T>(
  rows: Row[],
  limit: number,
  present: (row: Row) => T,
  total?: number,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(present),
    nextCursor: rows.length > limit && last ? encodeCursor(last) : null,
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
