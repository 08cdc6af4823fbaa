import { type Contender, contenders } from './nest/contenders.ts';
import { cpuMsOfTree, requireProc } from './process-usage.ts';
import { FIGURE_COLUMNS, figureRow, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';
import { ratios, spreadOf } from './statistics.ts';

const ROUNDS = { full: 10, quick: 3 };
/** Starts that fill the caches of compiled code. */
const PRIMING = 2;
const GOAL = { atMost: 2.5 };
/** What a start takes, in milliseconds. */
const COSTS = ['time', 'CPU'] as const;

type Start = Record<(typeof COSTS)[number], number>;

/** How long the API takes from nothing to its first answer, against bare Nest on Fastify. */
export async function* measureStart({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  const sides = await contenders(cleanUp);
  const starts: Record<keyof typeof sides, Start[]> = { product: [], bare: [] };
  for (let round = -PRIMING; round < rounds; round += 1) {
    const order = ['product', 'bare'] as const;
    for (const side of round % 2 === 0 ? order : order.toReversed()) {
      const start = await startOnce(sides[side]);
      if (round >= 0) starts[side].push(start);
    }
  }
  yield {
    title: 'Cold start',
    note: `Rounds: ${rounds}, one start of each side in turns. From the start of the process to the first 200 of \`/health\`; its CPU, of all threads, until then. Product: the API on a PostgreSQL that runs and is migrated. Bare: Nest on Fastify with one controller. Both with \`NODE_COMPILE_CACHE\`, filled by ${PRIMING} starts before.`,
    columns: FIGURE_COLUMNS,
    rows: COSTS.flatMap((cost) => rowsOf(cost, starts)),
  };
}

async function startOnce(side: Contender): Promise<Start> {
  const startedAt = performance.now();
  const { pid } = await side.start();
  const start = { time: performance.now() - startedAt, CPU: cpuMsOfTree(pid) };
  await side.stop();
  return start;
}

function rowsOf(cost: keyof Start, starts: Record<'product' | 'bare', Start[]>): string[][] {
  const product = starts.product.map((start) => start[cost]);
  const bare = starts.bare.map((start) => start[cost]);
  return [
    figureRow({ name: `${cost}, product`, spread: spreadOf(product), unit: ' ms' }),
    figureRow({ name: `${cost}, bare`, spread: spreadOf(bare), unit: ' ms' }),
    figureRow({
      name: `${cost}, product : bare`,
      spread: spreadOf(ratios(product, bare)),
      digits: 2,
      ...(cost === 'time' && { goal: GOAL }),
    }),
  ];
}
