import { eventually } from './eventually.js';
import { RedisServer } from './redis-server.js';

/** How Sentinels call what they watch: see {@link RedisServer}. */
const NAME = 'primary';

/** A primary and its replica, and a Sentinel that makes one the other. */
export class RedisFailover {
  private constructor(
    private readonly servers: readonly RedisServer[],
    private readonly sentinel: RedisServer,
  ) {}

  /** The Sentinel takes a server for gone that has not answered for a second. */
  static async start(): Promise<RedisFailover> {
    const first = await RedisServer.start();
    const second = await RedisServer.start({
      settings: { replicaof: `127.0.0.1 ${first.port}` },
    });
    const sentinel = await RedisServer.start({
      sentinelOf: first,
      settings: {
        'sentinel down-after-milliseconds': `${NAME} 1000`,
        'sentinel failover-timeout': `${NAME} 5000`,
      },
    });
    return new RedisFailover([first, second], sentinel);
  }

  /** The variables by which the product uses it. */
  get variables(): Record<string, string> {
    return { REDIS_HOST: `127.0.0.1:${this.sentinel.port}`, REDIS_SENTINEL_NAME: NAME };
  }

  /** Has them change places, as before work on the primary. */
  async swap(): Promise<void> {
    const old = await this.primary();
    // It refuses while it knows of no replica that has caught up.
    await eventually(
      () => this.ask('FAILOVER', NAME).catch(String),
      (answer) => answer === 'OK',
      30_000,
    );
    await this.waitForAnother(old);
  }

  /** Kills the primary, waits for the other one in its place, and begins it again. */
  async loseThePrimary(): Promise<void> {
    const old = await this.primary();
    await this.waitForReplica();
    await old.kill();
    await this.waitForAnother(old);
    await old.begin();
  }

  /** Lets the primary hang until the other one is in its place, and it has become that one's replica. */
  async hangThePrimary(): Promise<void> {
    const old = await this.primary();
    await this.waitForReplica();
    old.freeze();
    await this.waitForAnother(old);
    old.thaw();
    const role = await eventually(
      () => roleOf(old),
      (found) => found === 'slave',
      30_000,
    );
    if (role !== 'slave') throw new Error('The old primary goes on as if nothing had happened.');
  }

  async close(): Promise<void> {
    for (const each of [this.sentinel, ...this.servers]) await each.close();
  }

  private async primary(): Promise<RedisServer> {
    const address = (await this.ask('GET-MASTER-ADDR-BY-NAME', NAME)) as string[];
    const found = this.servers.find(({ port }) => String(port) === address[1]);
    if (!found) throw new Error(`Nobody knows the primary ${address.join(':')}.`);
    return found;
  }

  private async waitForReplica(): Promise<void> {
    const isInStep = (replicas: unknown) =>
      (replicas as string[][]).some(
        (facts) => facts[facts.indexOf('master-link-status') + 1] === 'ok',
      );
    const replicas = await eventually(() => this.ask('REPLICAS', NAME), isInStep, 30_000);
    if (!isInStep(replicas)) throw new Error('The replica does not follow.');
  }

  /** Until another one takes what is written, and the Sentinel says so. */
  private async waitForAnother(old: RedisServer): Promise<void> {
    const primary = await eventually(
      () => this.primary(),
      (found) => found !== old,
      30_000,
    );
    if (primary === old) throw new Error('The Sentinel has left everything as it was.');
    const role = await eventually(
      () => roleOf(primary),
      (found) => found === 'master',
    );
    if (role !== 'master') throw new Error('The replica was named primary and takes no writes.');
  }

  private ask(...words: string[]): Promise<unknown> {
    return this.sentinel.ask((client) => client.call('SENTINEL', words));
  }
}

/** Nothing while it does not say: a Sentinel cuts all connections of the server whose role it changes. */
async function roleOf(server: RedisServer): Promise<unknown> {
  const [role] = await server.ask((client) => client.role()).catch(() => []);
  return role;
}
