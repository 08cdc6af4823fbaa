import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { normalizeIp } from '@nestjs/throttler';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ENV, type Env } from '../env.js';
import { clientAddress } from '../http/client-address.js';
import { isProbe } from '../http/probe.js';
import type { Problem } from '../problems/problem.js';
import { Buckets, type Unsettled } from './buckets.js';
import { Counters } from './counters.js';
import { RateLimits, tooMany, WINDOW_SECONDS } from './rate-limits.js';

/** How often the shared store is told, in milliseconds. */
const SETTLE_EVERY_MS = 1_000;
/** The most senders that it is told of at once. */
const MAX_BATCH = 1_000;

/** Tells whose a request is by what the process has in memory; undefined when that is not known. */
export type Recognize = (request: FastifyRequest) => string | undefined;

/**
 * How many requests a user may send, and an address for those who are not signed in: so that people
 * behind one address are not kept from working by each other. It is decided as a request arrives, since
 * many are refused before anything has looked who is signed in. Nobody waits for that, so requests with
 * a token are their address's until the process has let in the first of them.
 *
 * Probes and scrapes are not counted, nor is what was refused.
 */
@Injectable()
export class RequestLimits implements OnApplicationShutdown {
  private readonly logger = new Logger(RequestLimits.name);
  private readonly users: Buckets;
  private readonly addresses: Buckets;
  private recognize: Recognize = () => undefined;
  /** Undefined where nothing is limited. */
  private timer: NodeJS.Timeout | undefined;
  private isSettling = false;
  private isFailing = false;

  constructor(
    private readonly limits: RateLimits,
    private readonly counters: Counters,
    @Inject(ENV) env: Env,
  ) {
    this.users = new Buckets(env.USER_REQUESTS_PER_MINUTE, WINDOW_SECONDS * 1_000);
    this.addresses = new Buckets(env.ADDRESS_REQUESTS_PER_MINUTE, WINDOW_SECONDS * 1_000);
  }

  /** Begins to limit; whoever only works on jobs has nobody to limit. */
  start(): void {
    if (!this.limits.areOn) return;
    this.timer = setInterval(() => void this.settle(), SETTLE_EVERY_MS).unref();
  }

  /** Has those whom this tells count for themselves: wherever they come from, and wherever they go. */
  recognizeBy(recognize: Recognize): void {
    this.recognize = recognize;
  }

  /**
   * Counts a request for its user, or else for its address.
   *
   * @returns why it is refused, if it is
   */
  arrive(request: FastifyRequest): Problem | undefined {
    if (!this.timer || isProbe(request.routeOptions.url ?? '')) return undefined;
    const sender = this.recognize(request);
    if (sender !== undefined) return take(this.users, sender);
    return take(this.addresses, networkOf(request));
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** One at a time. While the store is away each process counts for itself. */
  private async settle(): Promise<void> {
    if (this.isSettling) return;
    this.isSettling = true;
    try {
      await this.settleAll('requests-of-user', this.users);
      await this.settleAll('requests-from-address', this.addresses);
      this.report();
    } catch (error) {
      this.report(error);
    } finally {
      this.isSettling = false;
    }
  }

  private async settleAll(name: string, buckets: Buckets): Promise<void> {
    const unsettled = buckets.unsettled();
    for (let at = 0; at < unsettled.length; at += MAX_BATCH) {
      await this.settleBatch(name, unsettled.slice(at, at + MAX_BATCH));
    }
  }

  private async settleBatch(name: string, batch: Unsettled[]): Promise<void> {
    const hits = batch.map(({ key, times }) => ({ key: this.limits.keyOf(name, key), times }));
    const tallies = await this.counters.hitAll(hits, WINDOW_SECONDS);
    batch.forEach((each, index) => {
      const tally = tallies[index];
      if (tally) each.settle(tally);
    });
  }

  /** Tells each change once. */
  private report(error?: unknown): void {
    if ((error !== undefined) === this.isFailing) return;
    this.isFailing = !this.isFailing;
    if (error === undefined) this.logger.log('Requests are counted together again');
    else this.logger.warn({ err: error, msg: 'Each process counts requests for itself' });
  }
}

/** Has requests counted as they come, before anything is done for them. */
export function limitArrivals(server: FastifyInstance, limits: RequestLimits): void {
  limits.start();
  server.addHook('onRequest', (request, _reply, proceed) => {
    proceed(limits.arrive(request));
  });
}

/** What requests from one place have in common: a client of IPv6 has all addresses of a /64. */
export function networkOf(request: FastifyRequest): string {
  return normalizeIp(clientAddress(request));
}

function take(buckets: Buckets, sender: string): Problem | undefined {
  const leftMs = buckets.take(sender);
  return leftMs > 0 ? tooMany(buckets.limit, leftMs / 1_000) : undefined;
}
