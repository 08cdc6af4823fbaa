import { parseArgs } from 'node:util';
import { CannotStart } from './cannot-start.js';
import { runEntryPoint } from './entry-point.js';

/** The exit code of a tool that could not do what it was asked to. */
const FAILED = 2;

/**
 * Runs a tool of the command line, which takes flags and nothing else. What it throws ends it with
 * 2; any other exit code is its own.
 *
 * @param usage what to tell who gives another flag
 */
export function runTool<Flag extends string>(
  usage: string,
  flags: readonly Flag[],
  main: (given: Readonly<Record<Flag, boolean>>) => Promise<void>,
): void {
  runEntryPoint(async () => main(readFlags(usage, flags)), FAILED);
}

/**
 * Has a tool stop when nobody reads its report any more, as behind `| head`, and end with 2. Without
 * it the error would end the process at once, with the 1 that may mean something else.
 *
 * @param stop may be called more than once
 */
export function onUnreadReport(stop: () => void): void {
  process.stdout.on('error', () => {
    process.exitCode = FAILED;
    stop();
  });
}

/** @throws CannotStart */
function readFlags<Flag extends string>(
  usage: string,
  flags: readonly Flag[],
): Record<Flag, boolean> {
  const flag = { type: 'boolean', default: false } as const;
  try {
    const options = Object.fromEntries(flags.map((name) => [name, flag]));
    const { values } = parseArgs({ options, strict: true, allowPositionals: false });
    return values as Record<Flag, boolean>;
  } catch (error) {
    throw new CannotStart(`${(error as Error).message}\nUsage: ${usage}`);
  }
}
