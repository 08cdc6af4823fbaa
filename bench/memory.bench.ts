import { setTimeout as delay } from 'node:timers/promises';
import { contenders } from './nest/contenders.ts';
import { proportionalBytes, requireProc, residentBytes } from './process-usage.ts';
import { FIGURE_COLUMNS, figureRow, MEBIBYTE, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';
import { ratios, spreadOf } from './statistics.ts';

const FULL = { rounds: 3, restSeconds: 20 };
const QUICK: typeof FULL = { rounds: 1, restSeconds: 5 };
const GOAL = { atMost: 2 };
const KINDS = { resident: residentBytes, proportional: proportionalBytes };

type Sizes = Record<keyof typeof KINDS, number[]>;

/** What the API takes when nobody asks for anything, against bare Nest on Fastify. */
export async function* measureMemory({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const { rounds, restSeconds } = quick ? QUICK : FULL;
  const sides = await contenders(cleanUp);
  const taken: Record<keyof typeof sides, Sizes> = {
    product: { resident: [], proportional: [] },
    bare: { resident: [], proportional: [] },
  };
  for (let round = 0; round < rounds; round += 1) {
    const started = { product: await sides.product.start(), bare: await sides.bare.start() };
    await delay(restSeconds * 1_000);
    for (const side of ['product', 'bare'] as const) {
      for (const kind of ['resident', 'proportional'] as const) {
        taken[side][kind].push(KINDS[kind](started[side].pid) / MEBIBYTE);
      }
    }
    await Promise.all([sides.product.stop(), sides.bare.stop()]);
  }
  yield {
    title: 'Idle memory of the API',
    note: `Rounds: ${rounds}, each ${restSeconds} s after both sides were started anew and had answered \`/health\` once, in units of 1,048,576 bytes. Resident memory counts what processes share for each; proportional divides it among them (\`Pss\` of proc(5)). Bare: Nest on Fastify with one controller.`,
    columns: FIGURE_COLUMNS,
    rows: [...rowsOf('resident', taken), ...rowsOf('proportional', taken)],
  };
}

function rowsOf(
  kind: keyof typeof KINDS,
  { product, bare }: Readonly<Record<'product' | 'bare', Sizes>>,
): string[][] {
  return [
    figureRow({ name: `${kind}, product`, spread: spreadOf(product[kind]), unit: ' MB' }),
    figureRow({ name: `${kind}, bare`, spread: spreadOf(bare[kind]), unit: ' MB' }),
    figureRow({
      name: `${kind}, product : bare`,
      spread: spreadOf(ratios(product[kind], bare[kind])),
      digits: 2,
      ...(kind === 'resident' && { goal: GOAL }),
    }),
  ];
}
