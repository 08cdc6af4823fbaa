import { z } from 'zod';

const DAY_MS = 86_400_000;
const MOST_DAYS = 366;
/** Before it there was nothing of this product; the database has no year 0. */
const FIRST_DAY = '2000-01-01';
const TOO_EARLY = `must not come before ${FIRST_DAY}`;

/** So many days before another, in UTC. */
function before(day: string, days: number): string {
  return new Date(Date.parse(day) - days * DAY_MS).toISOString().slice(0, 10);
}

const day = z.iso.date().refine((date) => date >= FIRST_DAY, TOO_EARLY);

const today = () => new Date().toISOString().slice(0, 10);

/** Which days figures are of. */
export const costsQuery = z
  .strictObject({
    from: day.optional().describe('The first day, in UTC. Default: 30 days before the last.'),
    to: day.optional().describe('The last day, in UTC. Default: today.'),
  })
  .transform(({ to = today(), from = before(to, 30) }) => ({ from, to }))
  // Also where nobody has asked for it.
  .refine(({ from }) => from >= FIRST_DAY, { path: ['from'], error: TOO_EARLY })
  .refine(({ from, to }) => from <= to, { path: ['to'], error: 'must not come before from' })
  .refine(({ from, to }) => Date.parse(to) - Date.parse(from) < MOST_DAYS * DAY_MS, {
    path: ['from'],
    error: `must be at most ${MOST_DAYS} days before to`,
  });

export type CostsQuery = z.output<typeof costsQuery>;

export const costsSchema = z
  .object({
    items: z.array(
      z
        .object({
          day: z.iso.date().describe('On which they were asked for, in UTC.'),
          model: z.string(),
          driver: z.string(),
          generations: z.int().min(0),
          failed: z.int().min(0).describe('Of them, those that brought no picture.'),
          pictures: z.int().min(0),
          coinsCharged: z.int().min(0),
          costMicros: z
            .int()
            .nullable()
            .describe(
              'What they cost the operator, in millionths of the currency of the prices that are set; null where none is known.',
            ),
        })
        .meta({ id: 'GenerationCost' }),
    ),
  })
  .meta({ id: 'GenerationCosts' });
