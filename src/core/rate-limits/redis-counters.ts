import { setTimeout as delay } from 'node:timers/promises';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { Cluster, Redis } from 'ioredis';
import type { RedisAddress } from '../redis/redis-address.js';
import { IMPATIENT, newRedisClient } from '../redis/redis-client.js';
import { Counters, type Hits, type Tally } from './counters.js';

/** How long the first count waits for the connection, in milliseconds. */
const FIRST_CONNECTION_MS = 1_000;
/** After how long a Redis that did not answer is asked again, in milliseconds. */
const ASK_AGAIN_MS = 5_000;
/** One script for each key, so that no two see the same count. What was zero begins its window. */
const HIT = `
  local count = redis.call('INCRBY', KEYS[1], ARGV[1])
  if count == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
  return {count, redis.call('PTTL', KEYS[1])}`;
/** How long it is remembered that somebody has looked, in milliseconds. */
const LOOK_MS = 1_000;

/**
 * In Redis, by its clock. While it is away or takes nothing others count in its place, so that nobody
 * is let in unlimited and nobody is kept out: of both together twice the limit passes at the most.
 */
export class RedisCounters extends Counters implements OnApplicationShutdown {
  private readonly logger = new Logger(RedisCounters.name);
  private client: Redis | Cluster | undefined;
  private connected: Promise<unknown> | undefined;
  private isAway = false;
  private askAgainAt = -Infinity;

  /** @param prefix what all keys begin with */
  constructor(
    private readonly address: RedisAddress,
    private readonly prefix: string,
    private readonly meanwhile: Counters,
  ) {
    super();
  }

  override hitAll(hits: readonly Hits[], windowSeconds: number): Promise<Tally[]> {
    const windowMs = Math.ceil(windowSeconds * 1_000);
    return this.ask(
      (client) => Promise.all(hits.map((each) => this.hitOne(client, each, windowMs))),
      (meanwhile) => meanwhile.hitAll(hits, windowSeconds),
    );
  }

  /** By counting nothing: a full Redis would answer, and say nothing of what it could not count. */
  override look(key: string): Promise<Tally> {
    return this.ask(
      (client) => this.hitOne(client, { key, times: 0 }, LOOK_MS),
      (meanwhile) => meanwhile.look(key),
    );
  }

  /** Redis forgets by itself. */
  override forgetPast(): Promise<number> {
    return this.meanwhile.forgetPast();
  }

  onApplicationShutdown(): void {
    this.client?.disconnect();
  }

  private async hitOne(
    client: Redis | Cluster,
    { key, times }: Hits,
    windowMs: number,
  ): Promise<Tally> {
    const answer = await client.eval(HIT, 1, this.nameOf(key), times, windowMs);
    const [count = 0, expiresInMs = 0] = answer as number[];
    return { count, resetsInSeconds: Math.max(0, expiresInMs) / 1_000 };
  }

  private async ask<T>(
    question: (client: Redis | Cluster) => Promise<T>,
    otherwise: (meanwhile: Counters) => Promise<T>,
  ): Promise<T> {
    if (performance.now() < this.askAgainAt) return otherwise(this.meanwhile);
    try {
      const answer = await question(await this.connect());
      this.report();
      return answer;
    } catch (error) {
      this.askAgainAt = performance.now() + ASK_AGAIN_MS;
      this.report(error);
      return otherwise(this.meanwhile);
    }
  }

  /** Made when something is counted first: a worker counts nothing. */
  private async connect(): Promise<Redis | Cluster> {
    this.client ??= newRedisClient(this.address, IMPATIENT)
      // What is asked of it fails as well, and says so.
      .on('error', () => undefined);
    const client = this.client;
    this.connected ??= Promise.race([
      new Promise((resolve) => client.once('ready', resolve)),
      delay(FIRST_CONNECTION_MS, undefined, { ref: false }),
    ]);
    await this.connected;
    return client;
  }

  /** Tells each change once. */
  private report(error?: unknown): void {
    if ((error !== undefined) === this.isAway) return;
    this.isAway = !this.isAway;
    if (error === undefined) this.logger.log('Limits are counted in Redis again');
    else this.logger.warn({ err: error, msg: 'Limits are counted without Redis' });
  }

  private nameOf(key: string): string {
    return `${this.prefix}:limits:${key}`;
  }
}
