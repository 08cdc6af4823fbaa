import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { EmbeddedPostgres, embeddedUrl } from '../src/standalone/embedded-postgres.js';
import { freePort } from './free-port.js';
import { findPostgres } from '../src/standalone/postgres-binaries.js';
import { type DatabaseRole, PostgresCluster } from '../src/standalone/postgres-cluster.js';
import { productVariables } from './environment.js';
import { eventually } from './eventually.js';
import { ProductProcess } from './product-process.js';
import type { TestDatabase } from './test-database.js';

type Settings = Record<string, string | number>;

/** A PostgreSQL server of a test's own, as an operator would have it: with settings, TLS, replicas. */
export class OwnPostgres {
  private constructor(
    readonly dataDir: string,
    private readonly cluster: PostgresCluster,
    private readonly server: EmbeddedPostgres,
  ) {}

  /** @param durable whether what was committed has to outlive a crash */
  static async start(settings: Settings = {}, { durable = false } = {}): Promise<OwnPostgres> {
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-own-postgres-'));
    // It comes back to the same port after it was away, so that must be nobody else's meanwhile.
    new PostgresCluster(dataDir).port = await freePort();
    const server = await EmbeddedPostgres.start({ dataDir, durable, settings });
    return new OwnPostgres(dataDir, new PostgresCluster(dataDir), server);
  }

  get port(): number {
    return this.server.port;
  }

  url(role: DatabaseRole): string {
    return this.server.url(role);
  }

  /** Writes a file into the data directory, as the server's own. */
  write(name: string, content: string): void {
    writeOwned(this.cluster, name, content);
  }

  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
    return queryOnce<Row>(this.url('superuser'), text, values);
  }

  /** Runs `npm run migrate` on it. @returns what it wrote; fails when it does */
  async migrate(changes: Record<string, string> = {}): Promise<string> {
    const urls = { ownerUrl: this.url('owner'), appUrl: this.url('app') };
    const variables = { ...productVariables(urls, this.dataDir), ...changes };
    const migration = ProductProcess.spawn('migrate', variables);
    if ((await migration.ended()) !== 0) throw new Error(migration.output);
    return migration.output;
  }

  /** As tests know databases. */
  database(): TestDatabase {
    return {
      ownerUrl: this.url('owner'),
      appUrl: this.url('app'),
      query: (text, values) => this.query(text, values),
      drop: () => this.stop(),
    };
  }

  /** A hot standby that replicates from this server by streaming. */
  async replicate(): Promise<Standby> {
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-own-standby-'));
    const client = new pg.Client({ connectionString: this.url('superuser') });
    await client.connect();
    await client.query(`select pg_backup_start('standby', true)`);
    // Root's copy keeps the owner of each file, as the server needs it.
    execFileSync('cp', [
      '-Rp',
      this.cluster.directory,
      join(this.dataDir, 'postgres.json'),
      dataDir,
    ]);
    const { rows } = await client.query<{ labelfile: string }>('select * from pg_backup_stop()');
    await client.end();
    return Standby.start(dataDir, this.url('superuser'), rows[0]?.labelfile ?? '');
  }

  /** Has it crash, and starts it again. Returns when it answers queries. */
  crash(): Promise<void> {
    return this.restart('immediate', 0);
  }

  /** Kills it, as the kernel does when memory is short, and starts it again. */
  kill(): Promise<void> {
    return this.restart('killed', 0);
  }

  /**
   * Kills what serves one connection, any one. All others are cut then: the server trusts its memory no
   * more, and recovers by itself. Returns when it answers queries.
   */
  async killBackend(): Promise<void> {
    const client = new pg.Client({ connectionString: this.url('superuser') });
    client.on('error', () => undefined);
    await client.connect();
    // Not `once`: it comes with an error.
    const cut = new Promise((resolve) => client.once('end', resolve));
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity
       where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1`,
    );
    const [backend] = rows;
    if (!backend) throw new Error('Nobody is connected');
    process.kill(backend.pid, 'SIGKILL');
    await cut;
    const answers = () =>
      this.query('select 1').then(
        () => true,
        () => false,
      );
    await eventually(answers, (isUp) => isUp);
  }

  /**
   * Ends it and starts it again; `immediate` is without a shutdown, so that it has to recover.
   *
   * @param awayMs how long it is away, in milliseconds
   */
  async restart(mode: keyof typeof SIGNALS, awayMs: number): Promise<void> {
    const { pid } = this.server;
    if (pid === undefined) throw new Error('It does not run');
    process.kill(pid, SIGNALS[mode]);
    await eventually(
      async () => isAlive(pid),
      (alive) => !alive,
    );
    await sleep(awayMs);
    await this.server.restart();
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** The signals of pg_ctl, whose `stop` would be for good; and the one that nothing can heed. */
const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT', killed: 'SIGKILL' } as const;

/** A copy of a server's files that follows it. It can be stopped, and started again. */
export class Standby {
  private process: ChildProcess | undefined;

  private constructor(
    private readonly dataDir: string,
    private readonly cluster: PostgresCluster,
    private readonly follows: string,
  ) {}

  static async start(dataDir: string, follows: string, label: string): Promise<Standby> {
    const cluster = new PostgresCluster(dataDir);
    cluster.port = await freePort();
    for (const name of ['postmaster.pid', 'postmaster.opts']) {
      rmSync(join(cluster.directory, name), { force: true });
    }
    writeOwned(cluster, 'backup_label', label);
    writeOwned(cluster, 'standby.signal', '');
    const standby = new Standby(dataDir, cluster, follows);
    await standby.begin();
    return standby;
  }

  url(role: DatabaseRole): string {
    return embeddedUrl(this.cluster, role);
  }

  /** Returns when it answers queries. */
  async begin(): Promise<void> {
    const { argument, options } = this.cluster.placement();
    const { postgres } = await findPostgres(this.cluster.user);
    const settings = {
      port: this.cluster.port ?? 0,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: 200,
      fsync: 'off',
      primary_conninfo: this.follows,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.process = spawn(postgres, ['-D', argument, ...flags], { ...options, stdio: 'ignore' });
    const answers = () =>
      this.query('select 1').then(
        () => true,
        () => false,
      );
    if (!(await eventually(answers, (isUp) => isUp))) throw new Error('The standby does not start');
  }

  /** Ends it; its files stay. */
  async end(): Promise<void> {
    const { process } = this;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    const ended = once(process, 'exit');
    process.kill('SIGINT');
    await ended;
  }

  query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]> {
    return queryOnce<Row>(this.url('superuser'), text);
  }

  async stop(): Promise<void> {
    await this.end();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Writes a file into a data directory, as the server's own. */
function writeOwned(cluster: PostgresCluster, name: string, content: string): void {
  const path = join(cluster.directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  const { uid, gid } = cluster.user;
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

async function queryOnce<Row extends pg.QueryResultRow>(
  connectionString: string,
  text: string,
  values?: unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}
