import type { AddressInfo } from 'node:net';
import { createApp } from './app.js';
import { runEntryPoint } from './core/entry-point.js';
import { readEnv } from './core/env.js';
import { exitWithParent, stopOnSignal } from './core/lifecycle.js';
import { createLogger, PinoNestLogger } from './core/logging.js';

/** Answers now close their connections, so that none is cut when the server closes. */
const LEAVE_MS = 500;

/** The API process. */
runEntryPoint(async () => {
  exitWithParent();
  const env = readEnv();
  const logger = createLogger(env, 'api');
  const app = await createApp(env, new PinoNestLogger(logger));
  stopOnSignal(app, env, logger, LEAVE_MS);
  await app.listen(env.PORT, env.HOST);
  const { port } = app.getHttpServer().address() as AddressInfo;
  logger.info({ host: env.HOST, port, node: process.version }, 'The API listens');
  process.send?.({ type: 'listening', port });
});
