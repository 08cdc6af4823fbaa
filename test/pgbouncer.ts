import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from './free-port.js';
import { eventually } from './eventually.js';
import { programEnv } from './programs.js';

const BINARY = 'pgbouncer';
/** A pooler refuses to run as root. */
const UNPRIVILEGED = { name: 'nobody', id: 65_534 };
const ADMINISTRATOR = 'bouncer';

/** A real PgBouncer in transaction mode, as its package sets it up: it ignores no parameters. */
export class PgBouncer {
  private output = '';

  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly server: ChildProcess,
  ) {
    for (const stream of [server.stdout, server.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    server.once('error', (error) => (this.output += error.message));
  }

  /**
   * @param target a URL with the role that clients come with
   * @param poolSize how many connections it opens to the server
   * @param changes further settings
   */
  static async start(
    target: string,
    poolSize: number,
    changes: Record<string, number> = {},
  ): Promise<PgBouncer> {
    const { hostname, port, username, password } = new URL(target);
    const folder = await mkdtemp(join(tmpdir(), 'atelier-pgbouncer-'));
    const own = await freePort();
    const isRoot = process.getuid?.() === 0;
    const settings = {
      listen_addr: '127.0.0.1',
      listen_port: own,
      unix_socket_dir: '',
      auth_type: 'scram-sha-256',
      auth_file: join(folder, 'users'),
      admin_users: ADMINISTRATOR,
      pool_mode: 'transaction',
      default_pool_size: poolSize,
      max_client_conn: 500,
      // How long a client waits for a connection to the server, in seconds.
      query_wait_timeout: 2,
      // How long it remembers that the server was away, in seconds.
      server_login_retry: 1,
      ...changes,
      ...(isRoot && { user: UNPRIVILEGED.name }),
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
    writeFileSync(
      join(folder, 'pgbouncer.ini'),
      `[databases]\n* = host=${hostname} port=${port}\n[pgbouncer]\n${lines.join('\n')}\n`,
    );
    writeFileSync(
      join(folder, 'users'),
      `"${username}" "${password}"\n"${ADMINISTRATOR}" "${ADMINISTRATOR}"\n`,
    );
    if (isRoot) {
      for (const name of ['', 'pgbouncer.ini', 'users']) {
        chownSync(join(folder, name), UNPRIVILEGED.id, UNPRIVILEGED.id);
      }
    }
    const server = spawn(BINARY, [join(folder, 'pgbouncer.ini')], {
      env: programEnv(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const bouncer = new PgBouncer(folder, own, server);
    const answers = () =>
      bouncer.command('show version').then(
        () => true,
        () => false,
      );
    const isUp = await eventually(answers, (up) => up || server.exitCode !== null);
    if (!isUp) throw new Error(`${BINARY} did not start:\n${bouncer.output}`);
    return bouncer;
  }

  /** The way to a database through it. */
  through(url: string): string {
    const parsed = new URL(url);
    parsed.port = String(this.port);
    return parsed.href;
  }

  /** A command of its console, such as `reconnect`. */
  async command(text: string): Promise<void> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: this.port,
      database: BINARY,
      user: ADMINISTRATOR,
      password: ADMINISTRATOR,
    });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    if (this.server.exitCode === null && this.server.signalCode === null) {
      const ended = once(this.server, 'exit');
      this.server.kill('SIGKILL');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
