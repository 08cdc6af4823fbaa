import { type RawBuilder, sql } from 'kysely';
import { z } from 'zod';
import { isoTime } from '../core/database/iso-time.js';
import { timeValue } from '../core/paging.js';
import type { ImageOrder } from './image.schema.js';

/** How a list is sorted: by an expression over `images`, and by id where that is equal. */
export interface Sorting {
  expression: RawBuilder<unknown>;
  direction: 'asc' | 'desc';
  /** The expression's value as text, for the cursor. */
  value: RawBuilder<string>;
  /** How that text becomes a value again, and what it may be. */
  cast: { type: 'timestamptz' | 'text' | 'bigint'; schema: z.ZodType<string> };
}

const textValue = z
  .string()
  .max(400)
  .refine((value) => value.isWellFormed() && !value.includes('\0'));

const wholeValue = z.string().regex(/^\d{1,15}$/);

type Column = Omit<Sorting, 'direction'>;

const COLUMNS: Record<Exclude<ImageOrder, `-${string}`>, Column> = {
  createdAt: timeColumn('images.created_at'),
  updatedAt: timeColumn('images.updated_at'),
  title: {
    expression: sql`lower(coalesce(images.title, ''))`,
    value: sql<string>`lower(coalesce(images.title, ''))`,
    cast: { type: 'text', schema: textValue },
  },
  size: {
    // A picture that is yet to be generated has none.
    expression: sql`coalesce((images.metadata->>'size')::bigint, 0)`,
    value: sql<string>`coalesce(images.metadata->>'size', '0')`,
    cast: { type: 'bigint', schema: wholeValue },
  },
};

/** How the orders that clients name are done in SQL. */
export function sortingOf(order: ImageOrder): Sorting {
  const column = order.replace('-', '') as keyof typeof COLUMNS;
  return { ...COLUMNS[column], direction: order.startsWith('-') ? 'desc' : 'asc' };
}

function timeColumn(column: string): Column {
  return {
    expression: sql.ref(column),
    value: isoTime(column),
    cast: { type: 'timestamptz', schema: timeValue },
  };
}
