import { z } from 'zod';
import { Problem, validationFailed } from './problem.js';

/**
 * Lists are paged by keyset (`cursor`), which stays right while rows come and go, and also by
 * `offset`, as the first clients do it.
 */

/** The most items on one page. */
export const MAX_PAGE_SIZE = 100;
const DEFAULT_PAGE_SIZE = 20;

/** Query parameters of every list; spread into the list's own `z.strictObject`. */
export const pageQuery = {
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

const positionSchema = z.tuple([z.iso.datetime(), z.uuid()]);

/** The opaque cursor of a position. */
export function encodeCursor({ createdAt, id }: PagePosition): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url');
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
  const [createdAt, id] = parsed.data;
  return { createdAt, id };
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
