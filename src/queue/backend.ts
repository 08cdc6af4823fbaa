import type { BullRootModuleOptions } from '@nestjs/bullmq';
import { type Queue, RedisQueueBackend, type Worker } from 'bullmq';
import type { Capability } from '../core/process/capabilities.js';
import type { DatabasePools } from '../core/database/database-pools.js';
import type { Env } from '../core/env.js';
import { namesRedis } from '../core/env/redis.js';
import { postgresQueueOptions } from './postgres/postgres-backend.js';
import { redisAddress } from '../core/redis/redis-address.js';
import {
  clearDeadRedisCarriers,
  isRedisAway,
  noticeRedisLoss,
  requireWritableRedis,
  untilRedisIsConnected,
} from './redis/redis-state.js';

/**
 * The one place that chooses what BullMQ runs on.
 *
 * @throws CannotStart when what was chosen cannot be used
 */
export async function queueOptions(env: Env, pools: DatabasePools): Promise<BullRootModuleOptions> {
  const redis = redisAddress(env);
  if (!redis) return postgresQueueOptions(env, pools);
  const { redisQueueOptions } = await import('./redis/redis-backend.js');
  return redisQueueOptions(redis, env.REDIS_PREFIX);
}

/** What `GET /health/capabilities` tells of the queue. */
export function queueCapability(env: Env): Capability {
  return namesRedis(env)
    ? { part: 'queue', driver: 'bullmq-redis', embedded: false }
    : { part: 'queue', driver: 'bullmq-postgresql', embedded: true };
}

/**
 * BullMQ's own view of a worker, on either backend. A carrier that stalls is only handed on: the
 * row's lease decides whether there is anything to do, and the row, not the carrier, counts attempts.
 */
export const workerOptions = {
  /** How long a carrier is its worker's without a word, in milliseconds: as long as a row's lease. */
  lockDuration: 15_000,
  /** How often to look for carriers whose worker died, in milliseconds. */
  stalledInterval: 5_000,
  maxStalledCount: 1_000_000,
  /** After a fault of the connection, try again this soon, in milliseconds. */
  runRetryDelay: 1_000,
  /**
   * Look at the queue at least this often, in seconds: a notification may be lost, and new work is
   * to be picked up within two seconds all the same.
   */
  drainDelay: 1,
};

/** Waits until a queue or a worker is connected; for Redis, only for a moment. */
export async function untilConnected(part: Queue | Worker): Promise<void> {
  const backend: unknown = part.getBackend();
  if (backend instanceof RedisQueueBackend) await untilRedisIsConnected(backend);
  else await part.waitUntilReady();
}

/** Whether the queue is known to be out of reach, without asking it. */
export async function isAway(queue: Queue): Promise<boolean> {
  const backend: unknown = queue.getBackend();
  return backend instanceof RedisQueueBackend && (await isRedisAway(backend));
}

/**
 * Asks the queue whether it can be used. A full Redis still answers questions, and takes nothing.
 *
 * @throws Error when it does not answer, or takes nothing
 */
export async function requireUsable(queue: Queue): Promise<void> {
  await queue.getWaitingCount();
  const backend: unknown = queue.getBackend();
  if (backend instanceof RedisQueueBackend) await requireWritableRedis(backend);
}

/**
 * Leaves a mark in Redis, one for each queue. PostgreSQL needs none: it keeps carriers as well as it
 * keeps the rows.
 *
 * @returns whether the last one was gone, and the carriers with it; told to one of all processes
 */
export async function noticeLoss(queue: Queue): Promise<boolean> {
  const backend: unknown = queue.getBackend();
  return backend instanceof RedisQueueBackend && noticeRedisLoss(backend);
}

/**
 * Makes room for new carriers of the same ids where the old ones will never come to a worker. Those
 * that only wait for long are left where they are. PostgreSQL keeps a carrier whole or not at all.
 *
 * @param ids of carriers that count as lost
 */
export async function clearDeadCarriers(queue: Queue, ids: string[]): Promise<void> {
  const backend: unknown = queue.getBackend();
  if (backend instanceof RedisQueueBackend) await clearDeadRedisCarriers(backend, ids);
}
