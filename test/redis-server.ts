import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';
import { CertificateAuthority } from './certificates.js';
import { eventually } from './eventually.js';
import { programEnv } from './programs.js';

const BINARY = 'redis-server';

interface RedisServerOptions {
  password?: string;
  /** Whether it speaks TLS, with a certificate of an authority of its own. */
  tls?: boolean;
  /** Whether it is a Cluster, of this one node. */
  cluster?: boolean;
  /** Has it be the Sentinel of another one, which it calls `primary`. */
  sentinelOf?: RedisServer;
  /** Further lines of its configuration. */
  settings?: Record<string, string>;
}

/** A real Redis on a free port of loopback, with its data in a folder that goes with it. */
export class RedisServer {
  private server: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    readonly folder: string,
    private readonly options: RedisServerOptions,
  ) {}

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'atelier-redis-'));
    const redis = new RedisServer(await freePort(), folder, options);
    if (options.tls) await makeCertificates(folder);
    await redis.begin();
    return redis;
  }

  /** For `REDIS_URL`. */
  get url(): string {
    const { password, tls } = this.options;
    const user = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    return `${tls ? 'rediss' : 'redis'}://${user}127.0.0.1:${this.port}`;
  }

  /** The certificate of the authority that signed the server's. */
  get caFile(): string {
    return join(this.folder, 'ca.pem');
  }

  /** Starts it when it does not run: empty, unless a snapshot was written before. */
  async begin(): Promise<void> {
    const file = join(this.folder, 'redis.conf');
    const lines = Object.entries(this.settings()).map(([name, value]) => `${name} ${value}`);
    // A Sentinel writes into its file what it finds out.
    await writeFile(file, lines.join('\n'));
    const server = spawn(BINARY, [file, ...(this.options.sentinelOf ? ['--sentinel'] : [])], {
      env: programEnv(),
      stdio: 'ignore',
    });
    server.once('error', () => undefined);
    this.server = server;
    const answer = await eventually(
      () => this.ask((client) => client.ping()).catch(() => undefined),
      (pong) => pong === 'PONG' || server.exitCode !== null,
    );
    if (answer !== 'PONG') throw new Error(`redis-server did not start: ${server.exitCode ?? '?'}`);
    if (this.options.cluster) await this.takeAllSlots();
  }

  /** Ends it as a service manager does; `keepData` has it write a snapshot, and find it again. */
  async stop({ keepData = false } = {}): Promise<void> {
    if (keepData) await this.ask((client) => client.save());
    await this.end('SIGTERM');
  }

  /** Removes what a {@link stop} kept. */
  loseData(): Promise<void> {
    return rm(join(this.folder, 'dump.rdb'), { force: true });
  }

  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  /** Lets it hang: it holds its connections and answers nothing. */
  freeze(): void {
    this.server?.kill('SIGSTOP');
  }

  thaw(): void {
    this.server?.kill('SIGCONT');
  }

  async flush(): Promise<void> {
    await this.ask((client) => client.flushall());
  }

  /** Has it refuse whatever needs more memory than that; `0` is no limit. */
  async limitMemory(size: string): Promise<void> {
    await this.ask((client) => client.config('SET', 'maxmemory', size));
  }

  /** Has a connection of the test's own do something. */
  async ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const { password, tls } = this.options;
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      lazyConnect: true,
      retryStrategy: () => null,
      disconnectTimeout: 100,
      ...(password !== undefined && { password }),
      ...(tls && { tls: { rejectUnauthorized: false } }),
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await question(client);
    } finally {
      client.disconnect();
    }
  }

  async close(): Promise<void> {
    this.thaw();
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  private settings(): Record<string, string> {
    const { password, tls, cluster, sentinelOf, settings } = this.options;
    const port = String(this.port);
    return {
      bind: '127.0.0.1',
      dir: this.folder,
      ...(tls ? { port: '0', 'tls-port': port, ...certificateSettings(this.folder) } : { port }),
      ...(password !== undefined && { requirepass: `"${password}"` }),
      ...(cluster && { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' }),
      ...(sentinelOf
        ? { 'sentinel monitor': `primary 127.0.0.1 ${sentinelOf.port} 1` }
        : { save: '""' }),
      ...settings,
    };
  }

  private async takeAllSlots(): Promise<void> {
    await this.ask((client) => client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383'));
    await eventually(
      () => this.ask((client) => client.call('CLUSTER', 'INFO')),
      (info) => String(info).includes('cluster_state:ok'),
    );
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const server = this.server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(signal);
    await ended;
  }
}

function certificateSettings(folder: string): Record<string, string> {
  return {
    'tls-cert-file': join(folder, 'server.pem'),
    'tls-key-file': join(folder, 'server.key'),
    'tls-ca-cert-file': join(folder, 'ca.pem'),
    'tls-auth-clients': 'no',
  };
}

/** An authority, and a certificate for 127.0.0.1 that it signed. */
async function makeCertificates(folder: string): Promise<void> {
  const authority = new CertificateAuthority();
  const server = authority.issue('redis', ['127.0.0.1']);
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
  await writeFile(join(folder, 'server.pem'), server.certificate);
  await writeFile(join(folder, 'server.key'), server.key, { mode: 0o600 });
}
