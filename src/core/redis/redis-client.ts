import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { ClosableCluster, ClosableRedis } from './closable-redis.js';
import type { RedisAddress } from './redis-address.js';

/** The longest rest between two attempts to connect, in milliseconds. */
const MAX_RETRY_MS = 1_000;
/** How long a connection may take to be made, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3_000;
/**
 * How long a connection may owe an answer before it is made anew, in milliseconds: that of a
 * machine that is gone would otherwise last until the kernel gives it up, in a quarter of an hour.
 * More than BullMQ lets a connection block.
 */
const SILENCE_MS = 15_000;

const COMMON = {
  connectionName: 'atelier',
  connectTimeout: CONNECT_TIMEOUT_MS,
  socketTimeout: SILENCE_MS,
  keepAlive: 10_000,
  retryStrategy: restBeforeRetry,
  // After a failover the old primary refuses writes: the new one is found by connecting again.
  reconnectOnError: ({ message }) => (message.startsWith('READONLY') ? 2 : false),
} satisfies RedisOptions;

/**
 * For handing over: a request must never wait for Redis. A command fails at once while there is no
 * connection, when its connection breaks, and when it has no answer in time.
 */
export const IMPATIENT = {
  ...COMMON,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: 2_000,
} satisfies RedisOptions;

/**
 * For working: a command waits until Redis is back, however long that takes. BullMQ asks for this;
 * a worker whose commands fail at once would ask again at once, for ever.
 */
export const PATIENT = {
  ...COMMON,
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
} satisfies RedisOptions;

/** For a first look: one attempt, made when `connect` is called. */
export const ONCE = {
  ...COMMON,
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: CONNECT_TIMEOUT_MS,
  retryStrategy: () => null,
} satisfies RedisOptions;

/** A client of whatever kind of Redis that is; `retryStrategy` holds for all that it connects to. */
export function newRedisClient(address: RedisAddress, options: RedisOptions): Redis | Cluster {
  const { kind, hosts, access, sentinel } = address;
  if (kind === 'cluster') return newCluster(address, options);
  if (kind === 'server') return new ClosableRedis({ ...options, ...hosts[0], ...access });
  const { host: _host, port: _port, ...rest } = options;
  return new ClosableRedis({
    ...rest,
    ...access,
    sentinels: [...hosts],
    name: sentinel?.name ?? '',
    ...(sentinel?.password && { sentinelPassword: sentinel.password }),
    ...(options.retryStrategy && { sentinelRetryStrategy: options.retryStrategy }),
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
    ...(access.tls && { enableTLSForSentinelMode: true, sentinelTLS: access.tls }),
  });
}

function newCluster({ hosts, access }: RedisAddress, options: RedisOptions): Cluster {
  const { host: _host, port: _port, retryStrategy, ...rest } = options;
  const { enableOfflineQueue = true, lazyConnect = false, ...redisOptions } = rest;
  return new ClosableCluster([...hosts], {
    redisOptions: { ...redisOptions, ...access },
    enableOfflineQueue,
    lazyConnect,
    ...(retryStrategy && { clusterRetryStrategy: retryStrategy }),
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // Certificates name hosts: with TLS an address that was looked up would match none of them.
    ...(access.tls && {
      dnsLookup: (name, done) => {
        done(null, name);
      },
    }),
  });
}

/** Doubles from 50 ms to a second; with jitter, so that not all processes come at once. */
function restBeforeRetry(times: number): number {
  return Math.min(50 * 2 ** (times - 1), MAX_RETRY_MS) * (0.5 + Math.random() / 2);
}
