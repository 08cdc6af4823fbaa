import { randomInt } from 'node:crypto';

/** Gives whole numbers from 0 to below its argument. */
export type Random = (below: number) => number;

/** Pseudo-random numbers that are the same in every run: the mulberry32 generator. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below) | 0;
  };
}

/** Runs a test with numbers that can be had again: its error tells the `SEED` to run it with. */
export async function withSeed(test: (random: Random) => Promise<void>): Promise<void> {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31));
  try {
    await test(seededRandom(seed));
  } catch (error) {
    throw new Error(`With SEED=${seed}: ${(error as Error).message}`, { cause: error });
  }
}

/** Another source of numbers, which is its own: whoever draws from the first one meanwhile. */
export function branch(random: Random): Random {
  return seededRandom(random(2 ** 31 - 1));
}

export function oneOf<const T>(random: Random, from: readonly [T, ...T[]]): T {
  return from[random(from.length)] ?? from[0];
}
