import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild, markInUse } from '../scripts/build.ts';
import type { CleanUp } from './clean-up.ts';

/**
 * One client here sends what thousands would. Production cannot do without limits, and so they are as
 * high as they go: counting is measured with the rest.
 */
const HIGHEST_LIMITS = Object.fromEntries(
  [
    'FAILED_SIGN_INS_PER_MINUTE',
    'SIGN_IN_CALLS_PER_MINUTE',
    'USER_REQUESTS_PER_MINUTE',
    'ADDRESS_REQUESTS_PER_MINUTE',
  ].map((name) => [name, '1000000000']),
);
const KEPT_LOG_BYTES = 4_000;
const STOP_PATIENCE_MS = 20_000;

/** What the processes of one product have in common. */
export interface Setting {
  build: string;
  dataDir: string;
  variables: Record<string, string>;
}

/** How one start of a process differs from the others. */
interface StartOptions {
  variables?: Record<string, string>;
  /** Arguments of Node. */
  nodeArguments?: string[];
}

/**
 * The product as it runs in production, from the build of the present sources: PostgreSQL, the API
 * and the worker, each a process of its own, in a temporary folder.
 */
export class Product {
  readonly url: string;
  readonly api: ProductProcess;
  readonly worker: ProductProcess;
  readonly setting: Setting;
  private readonly migrate: ProductProcess;

  private constructor(url: string, setting: Setting) {
    this.url = url;
    this.setting = setting;
    this.migrate = new ProductProcess('migrate', setting);
    this.api = new ProductProcess('main', setting);
    this.worker = new ProductProcess('worker', setting);
  }

  /**
   * Starts all of it. Nothing is left of it after the clean-up.
   *
   * @param settings variables of the product that differ from their defaults
   */
  static async start(cleanUp: CleanUp, settings: Record<string, string> = {}): Promise<Product> {
    const build = await ensureBuild();
    markInUse(build);
    const dataDir = mkdtempSync(join(tmpdir(), 'atelier-bench-'));
    cleanUp.add(() => {
      rmSync(dataDir, { recursive: true, force: true });
    });
    const postgres = await startPostgres(build, dataDir, cleanUp);
    const port = await freePort(build);
    const url = `http://127.0.0.1:${port}`;
    const variables = {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      LOG_FORMAT: 'json',
      DATABASE_URL: postgres.url('app'),
      MIGRATION_DATABASE_URL: postgres.url('owner'),
      DATA_DIR: dataDir,
      PORT: String(port),
      PUBLIC_URL: url,
      APP_SECRET: randomBytes(48).toString('base64'),
      JWT_SECRET: randomBytes(48).toString('base64'),
      ...HIGHEST_LIMITS,
      ...settings,
    };
    const product = new Product(url, { build, dataDir, variables });
    cleanUp.add(() => Promise.all([product.worker.stop(), product.api.stop()]));
    await product.migrate.runToEnd();
    await Promise.all([product.api.start(), product.worker.start()]);
    return product;
  }
}

/** One entry point of the product; it can be stopped and started again. */
export class ProductProcess {
  private readonly entry: string;
  private readonly setting: Setting;
  private readonly log: string;
  private child: ChildProcess | undefined;

  constructor(entry: 'main' | 'worker' | 'migrate', setting: Setting) {
    this.entry = entry;
    this.setting = setting;
    this.log = join(setting.dataDir, `${entry}.log`);
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error(`${this.entry} does not run.`);
    return this.child.pid;
  }

  /** Starts it and waits for its word that it works. */
  async start(options: StartOptions = {}): Promise<void> {
    const child = this.spawn(options);
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${this.entry} ended:\n${this.lastWords()}`);
    });
    await Promise.race([once(child, 'message'), ended]);
    ended.catch(() => undefined);
  }

  /** Starts it and waits for its end, which must be a good one. */
  async runToEnd(): Promise<void> {
    const [code] = (await once(this.spawn(), 'exit')) as [number | null];
    if (code !== 0) throw new Error(`${this.entry} failed:\n${this.lastWords()}`);
  }

  /** Stops it as an operator would; kills it when it takes too long. */
  async stop(): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
    await ended;
    clearTimeout(timer);
  }

  /** As new: its memory and its caches are what they are after a start. */
  async restart(options: StartOptions = {}): Promise<void> {
    await this.stop();
    await this.start(options);
  }

  private spawn({ variables = {}, nodeArguments = [] }: StartOptions = {}): ChildProcess {
    // To a file, as under a service manager: to read a pipe would be work for the bench.
    const log = openSync(this.log, 'a');
    this.child = fork(join(this.setting.build, 'src', `${this.entry}.js`), {
      env: { ...this.setting.variables, ...variables },
      execArgv: nodeArguments,
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    return this.child;
  }

  private lastWords(): string {
    return readFileSync(this.log, 'utf8').slice(-KEPT_LOG_BYTES);
  }
}

async function startPostgres(build: string, dataDir: string, cleanUp: CleanUp) {
  const { EmbeddedPostgres } = (await import(
    join(build, 'src/standalone/embedded-postgres.js')
  )) as typeof import('../src/standalone/embedded-postgres.ts');
  const starting = EmbeddedPostgres.start({ dataDir });
  cleanUp.add(async () => (await starting).stop());
  return starting;
}

async function freePort(build: string): Promise<number> {
  const found = (await import(
    join(build, 'src/standalone/free-port.js')
  )) as typeof import('../src/standalone/free-port.ts');
  return found.freePort();
}
