import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { cpuMsOfTree } from './process-usage.ts';
import { type Spread } from './statistics.ts';

const RESULTS = join(import.meta.dirname, 'RESULTS.md');
const HEAD = `# Results

Made by \`npm run bench\`: each bench replaces its own section. Ratios come from one run, in which both sides take turns; a figure is the median of its rounds, with the least and the greatest in parentheses. [README.md](README.md) says how to run them.
`;

export const MEBIBYTE = 1024 * 1024;

export interface Table {
  title: string;
  /** What was done, and what the figures do not say. */
  note: string;
  columns: readonly string[];
  /** May be empty: then the note says why. */
  rows: readonly (readonly string[])[];
}

/** The state of the machine when a bench starts. */
export interface Conditions {
  command: string;
  startedAt: Date;
  /** What the machine and the bench itself had used until then, in milliseconds of CPU. */
  busyMs: number;
  ownMs: number;
}

export function conditionsNow(command: string): Conditions {
  const ownMs = cpuMsOfTree(process.pid);
  return { command, startedAt: new Date(), busyMs: machineBusyMs(), ownMs };
}

/** One row of a table of {@link FIGURE_COLUMNS}; the limit is what the project aims at. */
export interface Figure {
  name: string;
  spread: Spread;
  unit?: string;
  digits?: number;
  goal?: { atMost: number } | { atLeast: number };
}

export const FIGURE_COLUMNS = ['figure', 'value', 'goal', 'met'] as const;

/** @returns a row; a goal is judged by the median */
export function figureRow({ name, spread, unit = '', digits = 0, goal }: Figure): string[] {
  const show = (value: number) => value.toFixed(digits);
  const value = `${show(spread.median)}${unit} (${show(spread.min)}–${show(spread.max)})`;
  if (!goal) return [name, value, '', ''];
  if ('atMost' in goal) {
    return [name, value, `≤ ${goal.atMost}${unit}`, yesOrNo(spread.median <= goal.atMost)];
  }
  return [name, value, `≥ ${goal.atLeast}${unit}`, yesOrNo(spread.median >= goal.atLeast)];
}

export function yesOrNo(value: boolean): string {
  return value ? 'yes' : '**no**';
}

/** Writes the section of one bench to RESULTS.md and leaves those of the others. */
export async function writeSection(
  bench: string,
  conditions: Conditions,
  tables: readonly Table[],
): Promise<void> {
  const heading = `## ${bench}\n`;
  const section = [heading, describe(conditions), ...tables.map(presentTable)].join('\n');
  const [, ...others] = existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8').split(/^(?=## )/m) : [];
  const place = others.findIndex((other) => other.startsWith(heading));
  if (place === -1) others.push(section);
  else others[place] = section;
  const options = await resolveConfig(RESULTS);
  writeFileSync(
    RESULTS,
    await format([HEAD, ...others].join('\n'), { ...options, parser: 'markdown' }),
  );
}

export function presentTable({ title, note, columns, rows }: Table): string {
  const lines = [columns, columns.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
  );
  return `### ${title}\n\n${note}\n\n${rows.length === 0 ? '' : `${lines.join('\n')}\n`}`;
}

function describe({ command, startedAt, busyMs, ownMs }: Conditions): string {
  const tookMs = Date.now() - startedAt.getTime();
  // What others do at the same time falsifies figures: they are to be read with it.
  const othersMs = machineBusyMs() - busyMs - (cpuMsOfTree(process.pid) - ownMs);
  const cores = availableParallelism();
  const memory = (totalmem() / (1024 * MEBIBYTE)).toFixed(0);
  return [
    `- \`${command}\`, ${startedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC, ${(tookMs / 1_000).toFixed(0)} s`,
    `- ${cores} cores of ${cpus()[0]?.model ?? 'an unknown CPU'}, ${memory} GB of memory; meanwhile other programs used ${Math.max(0, othersMs / tookMs).toFixed(1)} cores`,
    `- Node ${process.version} on ${process.platform}-${process.arch}`,
    '',
  ].join('\n');
}

/** What all CPUs have worked since the machine started. */
function machineBusyMs(): number {
  return cpus().reduce((total, { times }) => total + times.user + times.nice + times.sys, 0);
}
