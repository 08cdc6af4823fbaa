import { InvalidEnvironment } from './env.js';

const OLDEST_NODE = [22, 17] as const;

/**
 * Runs the main function of a process. A mistake in the configuration is told in plain words, any
 * other failure with its stack; either way the process ends with 1.
 */
export function runEntryPoint(main: () => Promise<void>): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    fail(
      `Node ${OLDEST_NODE.join('.')} or later is needed, this is ${process.version}. ` +
        'Start through `npm run …`, which brings its own Node.',
    );
  }
  main().catch((error: unknown) => {
    fail(error instanceof InvalidEnvironment ? error.message : describe(error));
  });
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Standard error is written to synchronously, so that nothing of the message is lost. */
function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
