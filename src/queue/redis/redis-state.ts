import { setTimeout as delay } from 'node:timers/promises';
import { RedisConnection, type RedisQueueBackend } from 'bullmq';

/** The name of a key of each queue, of our own. */
const MARK = 'mark';
/** The states in which a carrier comes to a worker, or is with one. */
const ALIVE = ['waiting', 'active'];

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
  return (await client.hset(backend.toKey(MARK), { left: 1 })) === 1;
}

/** @throws Error when Redis takes nothing, because its memory is full or it is a replica */
export async function requireWritableRedis(backend: RedisQueueBackend): Promise<void> {
  const client = await backend.client;
  await client.hset(backend.toKey(MARK), { probed: 1 });
}

/**
 * Removes what is left of carriers that are in no list any more, or ended without their options.
 *
 * Redis keeps a carrier in two keys, its contents and the list that it stands in, and may lose either:
 * by eviction, or by a script that failed half way. BullMQ ignores a new carrier as long as the
 * contents of one with its id are there.
 */
export async function clearDeadRedisCarriers(
  backend: RedisQueueBackend,
  ids: string[],
): Promise<void> {
  const clear = async (id: string) => {
    if (!ALIVE.includes(await backend.getState(id))) await backend.remove(id, false);
  };
  await Promise.all(ids.map(clear));
}

/** Waits for the first connection, for a moment: it may be made at any time later. */
export async function untilRedisIsConnected(backend: RedisQueueBackend): Promise<void> {
  const connected = backend
    .waitUntilReady()
    .then(async () => RedisConnection.waitUntilReady(await backend.client));
  await Promise.race([connected, delay(START_PATIENCE_MS, undefined, { ref: false })]);
}
