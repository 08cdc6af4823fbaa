import { createHash } from 'node:crypto';

/** Chance that falls the same way each time: the sfc32 generator, seeded by the SHA-256 of a text. */
export class Dice {
  private readonly state: Uint32Array;

  constructor(private readonly text: string) {
    const hash = createHash('sha256').update(text).digest();
    this.state = Uint32Array.from([0, 4, 8, 12], (at) => hash.readUInt32LE(at));
  }

  /** Dice of their own for a part, so that one more throw there changes nothing elsewhere. */
  for(part: string): Dice {
    return new Dice(`${this.text}\u0000${part}`);
  }

  /** From 0 to below 1. */
  next(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.state;
    const sum = (a + b + d) >>> 0;
    this.state.set([b ^ (b >>> 9), c + (c << 3), ((c << 21) | (c >>> 11)) + sum, d + 1]);
    return sum / 2 ** 32;
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** A whole number, both ends included. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  /** About 0, seldom beyond 1 or -1. */
  around(): number {
    return (this.next() + this.next() + this.next() - 1.5) / 1.5;
  }

  happens(chance: number): boolean {
    return this.next() < chance;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[Math.floor(this.next() * from.length)] ?? from[0];
  }
}
