import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from '@jest/globals';
import { Argon2Threads } from './argon2-threads.js';

const NO_MODULE = fileURLToPath(new URL('./none.thread.ts', import.meta.url));

let threads: Argon2Threads;

afterEach(() => threads.close());

it('hash and verify', async () => {
  threads = new Argon2Threads(2);
  const stored = await threads.hash('one', { memoryCost: 8, timeCost: 1 });
  expect(await threads.verify(stored, 'one')).toBe(true);
  expect(await threads.verify(stored, 'other')).toBe(false);
});

it('reject what is no hash, and go on', async () => {
  threads = new Argon2Threads(1);
  await expect(threads.verify('no hash', 'one')).rejects.toThrow();
  const stored = await threads.hash('one', { memoryCost: 8, timeCost: 1 });
  expect(await threads.verify(stored, 'one')).toBe(true);
});

it('reject all that waits for one that cannot start, each time anew', async () => {
  threads = new Argon2Threads(1, NO_MODULE);
  for (let round = 0; round < 2; round += 1) {
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => threads.verify('', '')));
    expect(outcomes.map(({ status }) => status)).toEqual(Array(3).fill('rejected'));
  }
});
