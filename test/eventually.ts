import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Looks again and again until the value is as it should be, and gives it as it is when time is up.
 *
 * @param patienceMs how long to look, in milliseconds
 */
export async function eventually<T>(
  look: () => Promise<T>,
  isRight: (value: T) => boolean,
  patienceMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const value = await look();
    if (isRight(value) || Date.now() > deadline) return value;
    await sleep(50);
  }
}
