import { NestFactory } from '@nestjs/core';
import { listenHost } from './core/http/listen-host.js';
import { runEntryPoint } from './core/process/entry-point.js';
import { readEnv } from './core/env.js';
import { exitWithParent, stopOnSignal } from './core/process/lifecycle.js';
import { createLogger, PinoNestLogger } from './core/process/logging.js';
import { WorkerServer } from './health/worker-server.js';
import { WorkerModule } from './worker.module.js';

/** The worker process: works on jobs, and runs the reconciler. */
runEntryPoint(async () => {
  exitWithParent();
  const env = readEnv();
  const logger = createLogger(env, 'worker');
  const app = await NestFactory.createApplicationContext(WorkerModule.forRoot(env), {
    logger: new PinoNestLogger(logger),
    abortOnError: false,
  });
  stopOnSignal(app, env, logger);
  const { port } = app.get(WorkerServer);
  logger.info({ host: listenHost(env), port, node: process.version }, 'The worker works');
  process.send?.({ type: 'working', port });
});
