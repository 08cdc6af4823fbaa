import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { styleText } from 'node:util';

const LABEL_WIDTH = 9;

const COLOURS: Record<string, Parameters<typeof styleText>[0]> = {
  api: 'cyan',
  worker: 'magenta',
  migrate: 'yellow',
  postgres: 'blue',
};

/** Writes one line under the name of the process that it comes from. */
export function printLine(
  name: string,
  line: string,
  output: NodeJS.WriteStream = process.stdout,
): void {
  const label = `${name.padEnd(LABEL_WIDTH)}|`;
  output.write(`${styleText(COLOURS[name] ?? 'green', label, { stream: output })} ${line}\n`);
}

/** Passes on what a process writes, line by line. */
export function printLines(name: string, input: Readable, output: NodeJS.WriteStream): void {
  createInterface({ input, crlfDelay: Infinity }).on('line', (line) => {
    printLine(name, line, output);
  });
}
