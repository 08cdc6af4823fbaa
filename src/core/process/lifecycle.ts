import type { INestApplicationContext } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Env } from '../env.js';
import { Shutdown } from './shutdown.js';
import { onStopSignal } from './stop-signals.js';

/** Left after the work's own time to close connections, in milliseconds. */
const CLOSING_MARGIN_MS = 2_000;

/**
 * Stops a process on the first signal: no new work, running work finished or given back,
 * everything closed, exit 0. When time is up it exits all the same; rows that were not settled are
 * taken up again elsewhere.
 */
export function stopOnSignal(
  app: INestApplicationContext,
  env: Env,
  logger: Logger,
  /** What to do before anything is closed, while readiness is off already. */
  leave: () => Promise<void> = () => Promise.resolve(),
): void {
  onStopSignal((signal) => {
    const shutdown = app.get(Shutdown);
    if (shutdown.begun) return;
    logger.info({ signal }, 'Stopping');
    shutdown.begin();
    setTimeout(() => {
      logger.warn('Time is up: leaving with work unfinished');
      process.exit(0);
    }, env.SHUTDOWN_TIMEOUT_MS + CLOSING_MARGIN_MS).unref();
    leave()
      .then(() => app.close())
      .then(() => {
        logger.info('Stopped');
        process.exit(0);
      })
      .catch((error: unknown) => {
        logger.error({ err: error }, 'Stopping failed');
        process.exit(1);
      });
  });
}

/**
 * Ends a child of `npm start` at once when its parent is gone: nobody would stop it any more, and
 * what it leaves unfinished is taken up again.
 */
export function exitWithParent(): void {
  process.on('disconnect', () => {
    process.exit(0);
  });
}
