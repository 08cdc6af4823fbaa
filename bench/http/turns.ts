import { cpuMsOfTree } from '../process-usage.ts';
import { type Figure, figureRow } from '../report.ts';
import { ratios, spreadOf } from '../statistics.ts';
import type { LoadTask } from './load.child.ts';
import type { Load } from './load.ts';

/** One of two that take turns: a server, and what is asked of it. */
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

/** What came of one side. */
interface Turns {
  called: string;
  side: Side;
  turns: Turn[];
}

/** Until Node has compiled what is hot. */
const WARM_UP_SECONDS = 10;

/**
 * Loads two sides in turns (A B B A …), one at a time.
 *
 * @param sides by name: the first one is what is measured, the second what it is measured against
 * @returns rows of `FIGURE_COLUMNS`, each under the name of what was asked
 */
export async function takeTurns(
  name: string,
  sides: Readonly<Record<string, Side>>,
  load: Load,
  { rounds, ...plan }: TurnPlan,
  goals: RatioGoals = {},
): Promise<string[][]> {
  const order = Object.entries(sides).map(([called, side]): Turns => ({ called, side, turns: [] }));
  for (const { side } of order) {
    await load.run({ ...side.task, ...plan, seconds: WARM_UP_SECONDS });
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { side, turns } of round % 2 === 0 ? order : order.toReversed()) {
      turns.push(await takeTurn(side, load, plan));
    }
  }
  return rowsOf(name, order, goals);
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

function rowsOf(name: string, sides: readonly Turns[], goals: RatioGoals): string[][] {
  const measured = (key: keyof Turn) =>
    sides.map(({ turns }) => turns.map((turn) => turn[key])) as [number[], number[]];
  const rows = (figure: string, key: keyof Turn, unit: string, digits: number) =>
    sides.map(({ called, turns }) =>
      figureRow({
        name: `${name}: ${figure}, ${called}`,
        spread: spreadOf(turns.map((turn) => turn[key])),
        ...{ unit, digits },
      }),
    );
  const ratio = (figure: string, key: keyof Turn, goal: Figure['goal']) =>
    figureRow({
      name: `${name}: ${figure}, ${sides.map(({ called }) => called).join(' : ')}`,
      spread: spreadOf(ratios(...measured(key))),
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
