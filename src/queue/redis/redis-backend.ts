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
import type { RedisAddress } from '../../core/redis/redis-address.js';
import { IMPATIENT, newRedisClient, PATIENT } from '../../core/redis/redis-client.js';
import { inspectRedis } from './redis-inspection.js';

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
