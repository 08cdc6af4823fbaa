import { setTimeout as delay } from 'node:timers/promises';
import type { BullRootModuleOptions } from '@nestjs/bullmq';
import { Logger } from '@nestjs/common';
import {
  type BackendFactory,
  createIORedisClient,
  createRedisBackend,
  RedisConnection,
  type RedisQueueBackend,
  setDefaultBackendFactory,
} from 'bullmq';
import type { RedisAddress } from './redis-address.js';
import { IMPATIENT, newRedisClient, PATIENT } from './redis-client.js';
import { inspectRedis } from './redis-inspection.js';

/** How long a start waits for the first connection, in milliseconds. */
const START_PATIENCE_MS = 1_000;

/**
 * Puts BullMQ on Redis.
 *
 * A Redis that is away keeps nothing from starting: the truth is in PostgreSQL.
 *
 * @param prefix what all keys begin with
 * @throws CannotStart when Redis answers, and what it says is for the operator to mend
 */
export async function redisQueueOptions(
  address: RedisAddress,
  prefix: string,
): Promise<BullRootModuleOptions> {
  await inspectRedis(address, new Logger('Redis'));
  RedisConnection.clientFactory = (options) =>
    createIORedisClient(newRedisClient(address, options));
  setDefaultBackendFactory(createBackend);
  // In a Cluster all keys of a queue have to lie on one node: what is in braces decides on which.
  return { connection: IMPATIENT, prefix: address.kind === 'cluster' ? `{${prefix}}` : prefix };
}

/**
 * A worker's connections are patient, a queue's are not and count as ready before they are made.
 *
 * BullMQ's own look at the version is left out: it remembers for ever when that fails once.
 */
const createBackend: BackendFactory<RedisQueueBackend> = (name, options, role) =>
  createRedisBackend(
    name,
    role?.withBlockingConnection
      ? { ...options, skipVersionCheck: true, connection: PATIENT }
      : { ...options, skipVersionCheck: true, connection: IMPATIENT, skipWaitingForReady: true },
    role,
  );

/** Whether a queue's connection is known to be down. */
export async function isRedisAway(backend: RedisQueueBackend): Promise<boolean> {
  return (await backend.client).status !== 'ready';
}

/**
 * Whether Redis has lost what it carried, as after FLUSHALL or a restart without its data: a mark
 * that was left there is gone. Of all who ask, one is told, and leaves the next mark.
 */
export async function hasRedisLostCarriers(backend: RedisQueueBackend): Promise<boolean> {
  const client = await backend.client;
  // HSET tells how many fields it has added, and not those that it has set again.
  return (await client.hset(backend.toKey('mark'), { left: 1 })) === 1;
}

/** Waits for the first connection, for a moment: it may be made at any time later. */
export async function untilRedisIsConnected(backend: RedisQueueBackend): Promise<void> {
  const connected = backend
    .waitUntilReady()
    .then(async () => RedisConnection.waitUntilReady(await backend.client));
  await Promise.race([connected, delay(START_PATIENCE_MS, undefined, { ref: false })]);
}
