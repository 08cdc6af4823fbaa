import './node-version.js';
import { CannotStart } from './cannot-start.js';
import { InvalidEnvironment } from '../env.js';

/**
 * Runs the main function of a process. What the operator can mend is told in plain words, any
 * other failure with its stack; either way the process ends with `failureCode`.
 */
export function runEntryPoint(main: () => Promise<void>, failureCode = 1): void {
  main().catch((error: unknown) => {
    fail(isForOperator(error) ? error.message : describe(error), failureCode);
  });
}

function isForOperator(error: unknown): error is Error {
  return error instanceof InvalidEnvironment || error instanceof CannotStart;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Standard error is written to synchronously, so that nothing of the message is lost. */
function fail(message: string, code: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}
