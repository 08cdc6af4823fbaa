import { cpuMsOfTree } from '../process-usage.ts';
import { type Figure, figureRow } from '../report.ts';
import { ratios, spreadOf } from '../statistics.ts';
import type { LoadTask } from './load.child.ts';
import type { Load } from './load.ts';

/** One of the two servers that take turns, and what is asked of it. */
export interface Side {
  pid: number;
  task: Omit<LoadTask, 'connections' | 'seconds'>;
}

export interface TurnPlan {
  rounds: number;
  seconds: number;
  connections: number;
}

export interface RatioGoals {
  speed?: Figure['goal'];
  cpu?: Figure['goal'];
}

interface Turn {
  perSecond: number;
  cpuUs: number;
  p50Ms: number;
  p99Ms: number;
}

/** Until Node has compiled what is hot. */
const WARM_UP_SECONDS = 10;

/**
 * Loads two servers in turns (A B B A …), one at a time.
 *
 * @returns rows of `FIGURE_COLUMNS`, each under the name of what was asked
 */
export async function takeTurns(
  name: string,
  sides: Readonly<Record<'product' | 'bare', Side>>,
  load: Load,
  { rounds, ...plan }: TurnPlan,
  goals: RatioGoals = {},
): Promise<string[][]> {
  const turns: Record<keyof typeof sides, Turn[]> = { product: [], bare: [] };
  for (const side of Object.values(sides)) {
    await load.run({ ...side.task, ...plan, seconds: WARM_UP_SECONDS });
  }
  for (let round = 0; round < rounds; round += 1) {
    const order = ['product', 'bare'] as const;
    for (const side of round % 2 === 0 ? order : order.toReversed()) {
      turns[side].push(await takeTurn(sides[side], load, plan));
    }
  }
  return rowsOf(name, turns, goals);
}

async function takeTurn(
  { pid, task }: Side,
  load: Load,
  plan: Omit<TurnPlan, 'rounds'>,
): Promise<Turn> {
  const cpuBefore = cpuMsOfTree(pid);
  const { requests, seconds, p50Ms, p99Ms } = await load.run({ ...task, ...plan });
  const cpuMs = cpuMsOfTree(pid) - cpuBefore;
  return { perSecond: requests / seconds, cpuUs: (cpuMs * 1_000) / requests, p50Ms, p99Ms };
}

function rowsOf(
  name: string,
  { product, bare }: Readonly<Record<'product' | 'bare', Turn[]>>,
  goals: RatioGoals,
): string[][] {
  const rows = (figure: string, key: keyof Turn, unit: string, digits: number) =>
    Object.entries({ product, bare }).map(([side, turns]) =>
      figureRow({
        name: `${name}: ${figure}, ${side}`,
        spread: spreadOf(turns.map((turn) => turn[key])),
        ...{ unit, digits },
      }),
    );
  const ratio = (figure: string, key: keyof Turn, goal: Figure['goal']) =>
    figureRow({
      name: `${name}: ${figure}, product : bare`,
      spread: spreadOf(
        ratios(
          product.map((turn) => turn[key]),
          bare.map((turn) => turn[key]),
        ),
      ),
      digits: 2,
      ...(goal && { goal }),
    });
  return [
    ...rows('requests', 'perSecond', '/s', 0),
    ratio('requests', 'perSecond', goals.speed),
    ...rows('CPU per request', 'cpuUs', ' µs', 0),
    ratio('CPU per request', 'cpuUs', goals.cpu),
    ...rows('p50', 'p50Ms', ' ms', 1),
    ...rows('p99', 'p99Ms', ' ms', 1),
  ];
}
