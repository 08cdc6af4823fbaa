/** The most coins that an account may have and a transfer may move: what JSON numbers hold exactly. */
export const MOST_COINS = Number.MAX_SAFE_INTEGER;

/**
 * Lets nothing but a whole number of coins near the database: not 0, no fraction, no text that looks
 * like a number.
 *
 * @throws RangeError
 */
export function requireAmount(amount: unknown): asserts amount is number {
  // What is asked for by clients is checked before: this is a fault of whoever calls.
  if (!Number.isSafeInteger(amount) || (amount as number) <= 0) {
    throw new RangeError(`Coins move in whole numbers from 1 to ${MOST_COINS}`);
  }
}
