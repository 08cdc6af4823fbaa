import { setTimeout as delay } from 'node:timers/promises';
import { RedisConnection, type RedisQueueBackend } from 'bullmq';

/** How long a start waits for the first connection, in milliseconds. */
const START_PATIENCE_MS = 1_000;

/** Whether a queue's connection is known to be down. */
export async function isRedisAway(backend: RedisQueueBackend): Promise<boolean> {
  return (await backend.client).status !== 'ready';
}

/**
 * Leaves a mark in Redis, which is gone when Redis has lost what it carried, as after FLUSHALL or a
 * restart without its data.
 *
 * @returns whether the last one was gone: of all who leave one, the first is told
 */
export async function noticeRedisLoss(backend: RedisQueueBackend): Promise<boolean> {
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
