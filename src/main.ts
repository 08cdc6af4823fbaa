import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createApp } from './app.js';
import { cannotListen } from './core/http/cannot-listen.js';
import { Connections } from './core/http/connections.js';
import { listenHost } from './core/http/listen-host.js';
import { runEntryPoint } from './core/process/entry-point.js';
import { readEnv } from './core/env.js';
import { exitWithParent, stopOnSignal } from './core/process/lifecycle.js';
import { createLogger, PinoNestLogger } from './core/process/logging.js';

/**
 * How many new connections may wait while the process is busy. Of more, the kernel forgets some, and
 * their clients try again only after a second, or three, or seven. It has a limit of its own.
 */
const BACKLOG = 4096;

/** The API process. */
runEntryPoint(async () => {
  exitWithParent();
  const env = readEnv();
  const logger = createLogger(env, 'api');
  const app = await createApp(env, new PinoNestLogger(logger));
  stopOnSignal(app, env, logger, async () => {
    // Whoever heeds readiness goes elsewhere meanwhile.
    await delay(env.SHUTDOWN_LEAVE_MS);
    await app.get(Connections).drain(env.SHUTDOWN_TIMEOUT_MS - env.SHUTDOWN_LEAVE_MS);
  });
  const host = listenHost(env);
  // By itself, so that what fails there is not taken for a fault of the address.
  await app.init();
  try {
    await app.listen({ port: env.PORT, host, backlog: BACKLOG });
  } catch (error) {
    throw cannotListen(error, { who: 'The API', host, port: env.PORT, variable: 'PORT' });
  }
  const { port } = app.getHttpServer().address() as AddressInfo;
  logger.info({ host, port, node: process.version }, 'The API listens');
  process.send?.({ type: 'listening', port });
});
