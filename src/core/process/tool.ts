import { parseArgs } from 'node:util';
import { CannotStart } from './cannot-start.js';
import { runEntryPoint } from './entry-point.js';

/** The exit code of a tool that could not do what it was asked to. */
const FAILED = 2;

/** What a tool may be given by name: a `flag` is there or not, a `text` follows its name. */
type Options = Readonly<Record<string, 'flag' | 'text'>>;

/** What it was given. */
type Given<Taken extends Options> = {
  readonly [Name in keyof Taken]: Taken[Name] extends 'flag' ? boolean : string | undefined;
};

/**
 * Runs a tool of the command line, which takes options by name, each once, and nothing else. What it
 * throws ends it with 2; any other exit code is its own.
 *
 * @param usage what to tell who gives another option, or one twice
 */
export function runTool<const Taken extends Options>(
  usage: string,
  taken: Taken,
  main: (given: Given<Taken>) => Promise<void>,
): void {
  runEntryPoint(async () => main(readOptions(usage, taken)), FAILED);
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
function readOptions<Taken extends Options>(usage: string, taken: Taken): Given<Taken> {
  const flag = { type: 'boolean', default: false } as const;
  const text = { type: 'string' } as const;
  try {
    const options = Object.fromEntries(
      Object.entries(taken).map(([name, kind]) => [name, kind === 'flag' ? flag : text]),
    );
    const { values, tokens } = parseArgs({ options, allowPositionals: false, tokens: true });
    const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
    const repeated = names.find((name, index) => names.indexOf(name) < index);
    // The last would win, and nobody be told of the others.
    if (repeated !== undefined) throw new Error(`Option '--${repeated}' is given more than once.`);
    return values as Given<Taken>;
  } catch (error) {
    throw new CannotStart(`${(error as Error).message}\nUsage: ${usage}`);
  }
}
