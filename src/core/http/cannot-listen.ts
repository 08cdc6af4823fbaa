import { CannotStart } from '../process/cannot-start.js';

/** Where a server was to listen. */
interface Place {
  /** Who, at the beginning of a sentence. */
  who: string;
  host: string;
  port: number;
  /** The variable that tells the port. */
  variable: string;
}

/** What to throw when a server cannot listen: for the operator, where the system has refused it. */
export function cannotListen(error: unknown, { who, host, port, variable }: Place): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  return new CannotStart(
    `${who} cannot listen on HOST ${host}, ${variable} ${port}: ${error.message}`,
  );
}
