import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { CannotStart } from '../core/process/cannot-start.js';
import { freePort, LOOPBACK } from './free-port.js';
import { findPostgres, type PostgresBinaries } from './postgres-binaries.js';
import { type DatabaseRole, PostgresCluster, ROLES } from './postgres-cluster.js';
import { readPostmaster, shutDown, stopLeftover } from './postmaster.js';

export interface EmbeddedPostgresOptions {
  /** The folder for `postgres/` and `postgres.json`; one running server to a folder. */
  readonly dataDir: string;
  /** False trades safety at power failure for speed: for tests only. Default: true. */
  readonly durable?: boolean;
  /** Settings of the server that differ from ours. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Receives each line that the server writes. */
  readonly log?: (line: string) => void;
  /** Called when the server ends although nobody stopped it. */
  readonly onExit?: (reason: string) => void;
}

export const DATABASE = 'atelier';

const POLL_MS = 5;
/** Recovery after a crash counts: it reads what was written since the last checkpoint. */
const READY_PATIENCE_MS = 300_000;
const RETRY_MS = 200;
const RETRY_PATIENCE_MS = 15_000;
const KEPT_LINES = 20;

/** Somebody took the port meanwhile, or sessions of a killed server are still on their way out. */
const PASSING_FAILURE = /could not create any TCP\/IP sockets|is still in use/;

/**
 * A real PostgreSQL server on loopback, with a database `atelier`, a role that owns it and a
 * restricted one for the application. Tables, and what the application may do with them, are made
 * by the migrations.
 */
export class EmbeddedPostgres {
  private readonly recentLines: string[] = [];
  private server: ChildProcess | undefined;
  private isStopping = false;

  private constructor(
    private readonly cluster: PostgresCluster,
    private readonly binaries: PostgresBinaries,
    private readonly options: EmbeddedPostgresOptions,
  ) {}

  /**
   * Starts the server of a folder, with an empty database where there is none, after ending a
   * server that a killed process left there. Returns when queries are answered.
   *
   * @throws CannotStart with a reason for the operator
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const cluster = new PostgresCluster(options.dataDir);
    const binaries = await findPostgres(cluster.user);
    await stopLeftover(cluster.directory);
    if (!cluster.exists) await cluster.create(binaries, options.durable ?? true);
    const postgres = new EmbeddedPostgres(cluster, binaries, options);
    try {
      await postgres.launch();
      await postgres.provideDatabase();
      postgres.reportExit();
    } catch (error) {
      await postgres.stop('immediate');
      throw error;
    }
    return postgres;
  }

  /** On loopback: that of the last start when it is free, else any free one. */
  get port(): number {
    return this.cluster.port ?? 0;
  }

  get pid(): number | undefined {
    return this.server?.pid;
  }

  /** False when somebody has removed the data directory. */
  get hasData(): boolean {
    return this.cluster.exists;
  }

  url(role: DatabaseRole, database: string = DATABASE): string {
    return embeddedUrl(this.cluster, role, database);
  }

  /** Starts a server that has ended again: same data, same port. @throws CannotStart */
  async restart(): Promise<void> {
    if (!this.hasData) throw new CannotStart(`${this.cluster.directory} has gone.`);
    await stopLeftover(this.cluster.directory);
    await this.launch(this.port);
    this.reportExit();
  }

  /** Ends the server and waits for it; `immediate` leaves a recovery for the next start. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    this.isStopping = true;
    const server = this.server;
    if (server?.pid === undefined || hasEnded(server)) return;
    const ended = once(server, 'exit');
    if (!(await shutDown(server.pid, mode))) server.kill('SIGKILL');
    await ended;
  }

  /** @param port the only one that will do */
  private async launch(port?: number): Promise<void> {
    const giveUpAt = Date.now() + RETRY_PATIENCE_MS;
    for (;;) {
      this.cluster.port = port ?? (await freePort(this.cluster.port));
      this.recentLines.length = 0;
      if (this.isStopping) throw new CannotStart('PostgreSQL is being stopped.');
      this.server = this.spawnServer();
      if (await this.becomesReady(this.server)) return;

      const output = this.recentLines.join('\n');
      if (!PASSING_FAILURE.test(output) || Date.now() > giveUpAt) {
        throw new CannotStart(`PostgreSQL did not start in ${this.cluster.directory}:\n${output}`);
      }
      await delay(RETRY_MS);
    }
  }

  private spawnServer(): ChildProcess {
    const { argument, options } = this.cluster.placement();
    const server = spawn(this.binaries.postgres, this.flags(argument), {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const input of [server.stdout, server.stderr]) {
      createInterface({ input }).on('line', (line) => {
        this.note(line);
      });
    }
    server.once('error', (error) => {
      this.note(error.message);
    });
    return server;
  }

  private note(line: string): void {
    this.recentLines.push(line);
    if (this.recentLines.length > KEPT_LINES) this.recentLines.shift();
    this.options.log?.(line);
  }

  private flags(dataDirectory: string): string[] {
    const settings = {
      listen_addresses: LOOPBACK,
      unix_socket_directories: '',
      max_connections: 200,
      timezone: 'UTC',
      log_timezone: 'UTC',
      log_line_prefix: '',
      log_checkpoints: 'off',
      // Refused statements are the application's to report, and their text may be private.
      log_min_messages: 'log',
      log_min_error_statement: 'panic',
      ...(this.options.durable === false && {
        fsync: 'off',
        synchronous_commit: 'off',
        full_page_writes: 'off',
      }),
      ...this.options.settings,
    };
    return [
      ...['-D', dataDirectory, '-p', String(this.port)],
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
  }

  /** @returns false when the server ends instead, and its last words have been read */
  private async becomesReady(server: ChildProcess): Promise<boolean> {
    const closed = once(server, 'close');
    closed.catch(() => undefined); // an 'error', which has been noted
    const giveUpAt = Date.now() + READY_PATIENCE_MS;
    while (!hasEnded(server) && Date.now() < giveUpAt) {
      const found = readPostmaster(this.cluster.directory);
      if (found?.isReady && found.pid === server.pid) return true;
      await delay(POLL_MS);
    }
    if (hasEnded(server)) await closed.catch(() => undefined);
    return false;
  }

  /** Roles and database; each is made where it is missing, so that a killed first start heals. */
  private async provideDatabase(): Promise<void> {
    await this.query('superuser', 'postgres', async (client) => {
      for (const role of ['owner', 'app'] as const) {
        const name = ROLES[role];
        const known = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
        if (known.rowCount) continue;
        const password = client.escapeLiteral(this.cluster.password(role));
        await client.query(
          `CREATE ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD ${password}`,
        );
      }
      const known = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
      if (!known.rowCount) await client.query(`CREATE DATABASE ${DATABASE} OWNER ${ROLES.owner}`);
      await client.query(`REVOKE ALL ON DATABASE ${DATABASE} FROM PUBLIC`);
      await client.query(`GRANT CONNECT ON DATABASE ${DATABASE} TO ${ROLES.app}`);
    });
    await this.query('superuser', DATABASE, (client) =>
      client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC'),
    );
  }

  /** Only a server that had started can end unexpectedly; before that, {@link start} fails. */
  private reportExit(): void {
    this.server?.once('exit', (code, signal) => {
      if (!this.isStopping) this.options.onExit?.(signal ?? `exit code ${code ?? 'unknown'}`);
    });
  }

  private async query(
    role: DatabaseRole,
    database: string,
    work: (client: pg.Client) => Promise<unknown>,
  ): Promise<void> {
    const client = new pg.Client({ connectionString: this.url(role, database) });
    client.on('error', () => undefined); // the statement under way reports it
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }
}

/** The address of a cluster's server, at the port of its last start. */
export function embeddedUrl(
  cluster: PostgresCluster,
  role: DatabaseRole,
  database: string = DATABASE,
): string {
  const password = cluster.password(role);
  return `postgresql://${ROLES[role]}:${password}@${LOOPBACK}:${cluster.port ?? 0}/${database}`;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
