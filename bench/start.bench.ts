import { type Contender, contenders } from './nest/contenders.ts';
import { FIGURE_COLUMNS, figureRow, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';
import { ratios, spreadOf } from './statistics.ts';

const ROUNDS = { full: 10, quick: 3 };
/** Starts that fill the caches of compiled code. */
const PRIMING = 2;
const GOAL = { atMost: 2.5 };

/** How long the API takes from nothing to its first answer, against bare Nest on Fastify. */
export async function* measureStart({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  const sides = await contenders(cleanUp);
  const took: Record<keyof typeof sides, number[]> = { product: [], bare: [] };
  for (let round = -PRIMING; round < rounds; round += 1) {
    const order = ['product', 'bare'] as const;
    for (const side of round % 2 === 0 ? order : order.toReversed()) {
      const ms = await startOnce(sides[side]);
      if (round >= 0) took[side].push(ms);
    }
  }
  const row = (name: string, values: number[], unit: string) =>
    figureRow({ name, spread: spreadOf(values), unit });
  yield {
    title: 'Cold start',
    note: `Rounds: ${rounds}, one start of each side in turns. From the start of the process to the first 200 of \`/health\`. Product: the API on a PostgreSQL that runs and is migrated. Bare: Nest on Fastify with one controller. Both with \`NODE_COMPILE_CACHE\`, filled by ${PRIMING} starts before.`,
    columns: FIGURE_COLUMNS,
    rows: [
      row('product', took.product, ' ms'),
      row('bare', took.bare, ' ms'),
      figureRow({
        name: 'product : bare',
        spread: spreadOf(ratios(took.product, took.bare)),
        digits: 2,
        goal: GOAL,
      }),
    ],
  };
}

async function startOnce(side: Contender): Promise<number> {
  const startedAt = performance.now();
  await side.start();
  const ms = performance.now() - startedAt;
  await side.stop();
  return ms;
}
