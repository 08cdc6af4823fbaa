import './core/process/node-version.js';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Env, InvalidEnvironment, readDataDir, readEnv } from './core/env.js';
import { listenHost } from './core/http/listen-host.js';
import { CannotStart } from './core/process/cannot-start.js';
import { onStopSignal } from './core/process/stop-signals.js';
import { DataDir } from './standalone/data-dir.js';
import { EmbeddedPostgres } from './standalone/embedded-postgres.js';
import { credentialsFile, hasAdministrator } from './standalone/first-administrator.js';
import { freePort, tryPort } from './standalone/free-port.js';
import { Backoff } from './standalone/backoff.js';
import { allAnswer } from './standalone/readiness.js';
import { type Program, Supervisor } from './standalone/supervisor.js';
import { printLine } from './standalone/terminal.js';
import { welcome } from './standalone/welcome.js';

/** What a child may take beyond its own SHUTDOWN_TIMEOUT_MS before it is killed. */
const STOP_MARGIN_MS = 3_000;
const FORCE_PATIENCE_MS = 2_000;
/** npm repeats the signal that a terminal has sent to everyone: that is no second wish. */
const REPEATED_SIGNAL_MS = 300;
/** Stands in for the URL of the embedded database while the rest is checked. */
const PENDING_DATABASE_URL = 'postgresql://pending';

/** `npm start`: PostgreSQL, migrations, API and worker as one tree of processes. */
class Standalone {
  private readonly stopping = new AbortController();
  private readonly databaseBackoff = new Backoff();
  private supervisor: Supervisor | undefined;
  private database: Promise<EmbeddedPostgres> | undefined;
  private isUp = false;

  get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Returns when everything answers. @throws CannotStart, InvalidEnvironment */
  async start(source: NodeJS.ProcessEnv): Promise<void> {
    const dataDir = await DataDir.open(readDataDir(source));
    const settings = complete(source, dataDir);
    const env = checked(settings);
    this.stopping.signal.throwIfAborted();
    const stopPatienceMs = env.SHUTDOWN_TIMEOUT_MS + STOP_MARGIN_MS;
    this.supervisor = new Supervisor({ dataDir: dataDir.path, stopPatienceMs });
    await this.supervisor.killLeftovers();

    const port = await reservePort(env);
    const database: NodeJS.ProcessEnv = settings['DATABASE_URL']
      ? {}
      : await this.databaseUrls(dataDir.path);
    const workerPort = await reserveWorkerPort(env, dataDir);
    const programEnv = {
      ...settings,
      ...database,
      PORT: String(port),
      WORKER_METRICS_PORT: String(workerPort),
    };
    await this.supervisor.runToEnd(program('migrate', 'migrate', programEnv));
    // Only migrations may alter tables: the others do not even learn the owner's password.
    const restricted = { ...programEnv, MIGRATION_DATABASE_URL: undefined };
    const administrator = await makeAdministrator(
      this.supervisor,
      database['DATABASE_URL'],
      restricted,
    );
    this.supervisor.keepRunning(program('api', 'main', restricted));
    this.supervisor.keepRunning(program('worker', 'worker', restricted));
    const answering = allAnswer(listenHost(env), { api: port, worker: workerPort });
    await Promise.race([answering, this.supervisor.startFailure]);
    this.supervisor.settle();
    this.isUp = true;
    process.stdout.write(
      welcome({
        base: `http://localhost:${port}`,
        workerBase: `http://localhost:${workerPort}`,
        dataDir: dataDir.path,
        isProduction: env.NODE_ENV === 'production',
        administrator,
      }),
    );
  }

  /** Ends what uses the database before the database. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.supervisor?.stop();
    const database = await this.database?.catch(() => undefined);
    await database?.stop();
  }

  /** Ends everything at once; the next start recovers. */
  async force(): Promise<void> {
    this.stopping.abort();
    this.supervisor?.kill();
    const database = this.database?.then((running) => running.stop('immediate'));
    await Promise.race([database?.catch(() => undefined), delay(FORCE_PATIENCE_MS)]);
  }

  private async databaseUrls(dataDir: string): Promise<NodeJS.ProcessEnv> {
    this.stopping.signal.throwIfAborted();
    this.database = EmbeddedPostgres.start({
      dataDir,
      log: (line) => {
        // What it says while starting and stopping is of interest only in case of failure.
        if (this.isUp && !this.isStopping) printLine('postgres', line);
      },
      onExit: (reason) => void this.restartDatabase(reason),
    });
    const database = await this.database;
    return {
      DATABASE_URL: database.url('app'),
      MIGRATION_DATABASE_URL: database.url('owner'),
      EMBEDDED_POSTGRES: 'true',
    };
  }

  /** Until it is back, the API answers "not ready". @throws CannotStart when its data has gone */
  private async restartDatabase(reason: string): Promise<void> {
    printLine('atelier', `postgres ended (${reason}) and will be started again`);
    const database = await this.database;
    while (database && (await this.databaseBackoff.pause(this.stopping.signal))) {
      try {
        await database.restart();
        return;
      } catch (error) {
        if (!database.hasData) throw error;
        printLine('atelier', (error as Error).message);
      }
    }
  }
}

function program(name: string, entry: string, env: NodeJS.ProcessEnv): Program {
  return { name, entry: join(import.meta.dirname, `${entry}.js`), env };
}

/**
 * Makes an administrator where the embedded database has none. Who brings a database of their own
 * makes theirs with `npm run admin:create`.
 *
 * @param embedded the URL of that database, if it is there
 * @returns the file that holds the password, when one was made
 */
async function makeAdministrator(
  supervisor: Supervisor,
  embedded: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (embedded === undefined || (await hasAdministrator(embedded))) return undefined;
  await supervisor.runToEnd(program('admin', 'first-administrator', env));
  return (await hasAdministrator(embedded)) ? credentialsFile(env['DATA_DIR'] ?? '') : undefined;
}

/** What the operator has set, and for the rest what standalone keeps or knows. */
function complete(source: NodeJS.ProcessEnv, dataDir: DataDir): NodeJS.ProcessEnv {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  const format = given['LOG_FORMAT'] ?? 'auto';
  return {
    ...dataDir.secrets(),
    ...given,
    // The children write into pipes of ours and cannot see the terminal.
    LOG_FORMAT: format === 'auto' && process.stdout.isTTY ? 'pretty' : format,
    DATA_DIR: dataDir.path,
  };
}

/** Mistakes are told before anything is started. @throws InvalidEnvironment */
function checked(settings: NodeJS.ProcessEnv): Env {
  const needy = ['MIGRATION_DATABASE_URL', 'DATABASE_DIRECT_URL'].filter((name) => settings[name]);
  if (needy.length > 0 && !settings['DATABASE_URL']) {
    throw new InvalidEnvironment([`DATABASE_URL is required when ${needy.join(' or ')} is set`]);
  }
  return readEnv({ DATABASE_URL: PENDING_DATABASE_URL, ...settings });
}

/**
 * Finds out early, and in words, that the port cannot be had. With `PORT=0` one is chosen here and
 * not by the API, because links in the worker's and the API's answers carry it, also after a restart.
 */
async function reservePort(env: Env): Promise<number> {
  const { HOST, PORT } = env;
  try {
    return await tryPort(PORT, listenHost(env));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CannotStart(
      code === 'EADDRINUSE'
        ? `Port ${PORT} of ${HOST} is taken: stop what uses it, or set another PORT.`
        : `The API cannot listen on HOST ${HOST}, PORT ${PORT}: ${message}`,
    );
  }
}

/** The one of last time where that is possible: whatever scrapes it was told that one. */
async function reserveWorkerPort(env: Env, dataDir: DataDir): Promise<number> {
  const { WORKER_METRICS_PORT: asked } = env;
  if (asked !== 0) return asked;
  const workerMetrics = await freePort(dataDir.ports.workerMetrics, listenHost(env));
  dataDir.ports = { workerMetrics };
  return workerMetrics;
}

/** Made for other databases, they would also bend the way to this one. */
function forgetLibpqVariables(): void {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('PG')) Reflect.deleteProperty(process.env, name);
  }
}

function report(error: unknown): void {
  const isForOperator = error instanceof CannotStart || error instanceof InvalidEnvironment;
  const text = isForOperator ? error.message : (error as Error).stack;
  process.stderr.write(`${text ?? String(error)}\n`);
}

async function end(standalone: Standalone, exitCode: number): Promise<never> {
  process.exitCode = exitCode;
  await standalone.stop();
  process.exit();
}

/** The first signal ends everything in order, a second one at once. */
function endWhenAsked(standalone: Standalone): void {
  let askedAt = 0;

  function onSignal(): void {
    if (!standalone.isStopping) {
      askedAt = Date.now();
      void end(standalone, 0);
    } else if (Date.now() - askedAt > REPEATED_SIGNAL_MS) {
      process.exitCode = 1;
      void standalone.force().then(() => process.exit());
    }
  }

  onStopSignal(onSignal);
  // Whoever started us with an IPC channel, such as `npm run dev`, is gone.
  process.on('disconnect', onSignal);
}

async function main(): Promise<void> {
  const standalone = new Standalone();
  endWhenAsked(standalone);
  // The terminal, or the other end of a pipe, may go away before us.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined);
  process.on('uncaughtException', (error) => {
    report(error);
    void end(standalone, 1);
  });

  try {
    if (!process.env['DATABASE_URL']) forgetLibpqVariables();
    await standalone.start(process.env);
  } catch (error) {
    if (standalone.isStopping) return;
    report(error);
    await end(standalone, 1);
  }
}

await main();
