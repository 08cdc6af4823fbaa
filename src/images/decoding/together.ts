/**
 * `Promise.all` that also waits for the others when one of them fails: what went on would write
 * where the caller tidies up already.
 */
export async function together<T extends readonly Promise<unknown>[] | []>(
  steps: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(steps);
  return Promise.all(steps);
}
